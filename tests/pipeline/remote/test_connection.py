"""The connection to the server: release, proxies, tokens, namespaces, and servers that are down."""

import http.server
import json
import threading
import urllib.request

import pytest

from tests.pipeline.remote.commands import ALL, RUNNING, frcnn, submit
from tests.support.kubeflow_double import KubeflowDouble


def test_line_breaks_at_the_end_of_variables_are_dropped_and_tokens_not_printed(
    kubeflow, spec, monkeypatch, capsys
):
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", f"{kubeflow.url}/\n")
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "hush\n")
    monkeypatch.setenv("KF_PIPELINES_NAMESPACE", "team\n")
    assert frcnn("submit", "--spec", spec, "--data", "minio://data/kitti/") == 0
    assert kubeflow.runs[0]["runtime_config"]["parameters"]["data"] == "s3://data/kitti"
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "hush\nhush")
    assert frcnn("submit", "--spec", spec, "--data", "s3://data/kitti") == 2
    said = capsys.readouterr()
    assert "the token from $KF_PIPELINES_TOKEN is not one line" in said.err
    assert "hush" not in said.out + said.err


@pytest.mark.parametrize(
    ("release", "code", "said"),
    [
        (
            "2.13.0",
            1,
            "Kubeflow Pipelines 2.13.0 is older than 2.15, the oldest release that runs this pipeline",
        ),
        ("2.14.3", 0, "2.14.3 is older than 2.15, the oldest release tested with this pipeline"),
        ("2.15.0", 0, ""),
        ("2.17.1", 0, ""),
        ("2.18.0", 0, "2.18.0 is newer than 2.17, the newest release tested with this pipeline"),
        ("unknown", 0, ""),
    ],
)
def test_the_servers_release_is_looked_at_before_anything_is_sent(release, code, said, spec, capsys):
    with KubeflowDouble(release=release) as double:
        assert submit(double, spec) == code
    assert len(double.runs) == (0 if code else 1)
    error = capsys.readouterr().err
    assert (said in error) if said else ("Kubeflow Pipelines" not in error)


def test_the_release_is_read_from_the_uis_answer_too():
    from pipelines.remote.versions import release

    assert release({"apiServerTagName": "2.15.0", "frontendTagName": "2.16.0"}) == (2, 15, 0)
    assert release({"tag_name": "unknown", "frontendTagName": "v2.16.1"}) == (2, 16, 1)
    assert release({"multi_user": True}) is None


class Proxy(http.server.BaseHTTPRequestHandler):
    """Passes requests on to the double, and keeps their addresses."""

    def _pass_on(self):
        self.server.asked.append(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        address = f"{self.server.to}/{self.path.split('/', 3)[3]}"
        request = urllib.request.Request(
            address, self.rfile.read(length) or None, dict(self.headers), method=self.command
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            data = answer.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _pass_on  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy(kubeflow, monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.asked, server.to = [], kubeflow.url
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()


def test_a_server_elsewhere_is_asked_through_the_proxy_by_all_that_asks(proxy, kubeflow, spec):
    words = ("--spec", spec, "--data", "s3://d/k", "--host", "http://kubeflow.example:8080")
    assert frcnn("submit", *words) == 0
    assert len(proxy.asked) == len(kubeflow.calls) > 3
    assert all(address.startswith("http://kubeflow.example:8080/") for address in proxy.asked)


def test_this_machine_and_what_no_proxy_names_are_asked_directly(proxy, kubeflow, spec, monkeypatch, capsys):
    assert submit(kubeflow, spec) == 0
    monkeypatch.setenv("no_proxy", "kubeflow.invalid")
    assert frcnn("list", "--host", "http://kubeflow.invalid") == 1
    assert proxy.asked == []
    assert "proxy" not in capsys.readouterr().err


def test_a_server_that_is_away_for_a_moment_is_waited_for(kubeflow, spec, capsys):
    assert submit(kubeflow, spec) == 0

    def away_once(double=kubeflow, get=kubeflow.get_runs_ID):
        def look(*given):
            double.get_runs_ID = get
            from tests.support.kubeflow_double import Refused

            raise Refused(503, "upstream connect error")

        return look

    kubeflow.get_runs_ID = away_once()
    assert frcnn("status", "run-0", "--wait", "--host", kubeflow.url, "--poll", "0.01") == 0
    assert "upstream connect error; retrying" in capsys.readouterr().err


def test_a_token_is_read_from_a_file_and_a_wrong_one_is_explained(spec, tmp_path, capsys):
    (tmp_path / "token").write_text("right\n")
    with KubeflowDouble(token="right") as double:
        assert submit(double, spec, "--token_file", tmp_path / "token") == 0
        (tmp_path / "token").write_text("wrong")
        assert submit(double, spec, "--token_file", tmp_path / "token") == 1
        error = capsys.readouterr().err
        assert f"rejected the token from {tmp_path / 'token'} (401)" in error
        assert "wrong" not in error
        assert submit(double, spec) == 1
        assert "rejected a request without a token (401)" in capsys.readouterr().err
    assert len(double.runs) == 1


def test_a_token_that_is_exchanged_during_a_run_is_read_again(spec, tmp_path):
    (tmp_path / "token").write_text("old")
    with KubeflowDouble(token="old") as double:
        double.script = [RUNNING, RUNNING, ("SUCCEEDED", ALL)]
        play = double.get_runs_ID

        def exchange(*given):
            double.token = "new"
            (tmp_path / "token").write_text("new")
            return play(*given)

        double.get_runs_ID = exchange
        assert submit(double, spec, "--wait", "--token_file", tmp_path / "token") == 0


def test_a_namespace_of_others_is_explained(spec, capsys):
    with KubeflowDouble(forbidden={"theirs"}) as double:
        assert submit(double, spec, "--namespace", "theirs") == 1
    error = capsys.readouterr().err
    assert "no permission in namespace theirs (403): User 'ci' is not authorized" in error
    assert double.runs == []


def test_a_server_that_is_down_is_named(spec, capsys):
    with KubeflowDouble() as double:
        pass
    assert submit(double, spec) == 1
    assert f"{double.url} is unreachable" in capsys.readouterr().err


def test_the_double_refuses_what_the_api_does_not_have(spec):
    from pipelines.remote.connection import Connection, ServerError
    from pipelines.remote.server import Server

    with KubeflowDouble() as double:
        server = Connection(Server(double.url))
        with pytest.raises(ServerError, match="no query parameter"):
            server.ask(
                lambda client: client._run_api.api_client.call_api(
                    "/apis/v2beta1/runs", "GET", query_params=[("nmespace", "x")]
                )
            )
        with pytest.raises(ServerError, match="V2beta1Run has no experimental"):
            server.ask(
                lambda client: client._run_api.api_client.call_api(
                    "/apis/v2beta1/runs",
                    "POST",
                    header_params={"Content-Type": "application/json"},
                    body=json.loads('{"experimental": 1}'),
                )
            )
