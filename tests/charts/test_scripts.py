"""The scripts that the chart's jobs run, against small servers of the tests' own."""

import contextlib
import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.charts.conftest import CHART


@pytest.fixture
def script(request, monkeypatch):
    monkeypatch.syspath_prepend(str(CHART / "files"))
    path = CHART / "files" / f"{request.param}.py"
    specification = importlib.util.spec_from_file_location(f"chart_{path.stem}", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    module.PATIENCE_SECONDS = 0.5
    return module


@contextlib.contextmanager
def serving(answer):
    """Serves `answer(method, path, query, body, headers) -> (status, bytes)`; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def handle_any(self):
            url = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, data = answer(self.command, url.path, query, body, self.headers)
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_HEAD = handle_any  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class S3:
    """Buckets, and a first answer or two that fail."""

    def __init__(self, failures=0, refuse=None):
        self.buckets, self.failures, self.refuse = set(), failures, refuse
        self.made = 0

    def __call__(self, method, path, query, body, headers):
        assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=access/")
        if self.failures:
            self.failures -= 1
            return 503, b""
        if self.refuse:
            return 403, f"<Error><Code>{self.refuse}</Code></Error>".encode() if method != "HEAD" else b""
        bucket = path.strip("/")
        if method == "PUT":
            self.buckets.add(bucket)
            self.made += 1
            return 200, b""
        return (200 if bucket in self.buckets else 404), b""


@pytest.fixture
def s3_environment(monkeypatch):
    for name, value in {
        "S3_BUCKET": "frcnn",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "access",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.parametrize("script", ["make_bucket"], indirect=True)
def test_bucket_is_made_once_though_the_server_is_slow_to_start(script, s3_environment):
    store = S3(failures=2)
    with serving(store) as url:
        s3_environment.setenv("S3_ENDPOINT", url)
        assert script.main() == 0
        assert script.main() == 0
    assert (store.buckets, store.made) == ({"frcnn"}, 1)


@pytest.mark.parametrize("script", ["make_bucket"], indirect=True)
def test_wrong_key_is_final(script, s3_environment, caplog):
    with serving(S3(refuse="SignatureDoesNotMatch")) as url:
        s3_environment.setenv("S3_ENDPOINT", url)
        assert script.main() == 1
    assert "the keys in the secret" in caplog.text


@pytest.mark.parametrize("script", ["make_bucket"], indirect=True)
def test_keys_that_the_server_is_about_to_restart_with_are_tried_again(script, s3_environment):
    store = S3(refuse="SignatureDoesNotMatch")
    script.REFUSED_SECONDS = 30
    threading.Timer(0.3, setattr, (store, "refuse", None)).start()
    with serving(store) as url:
        s3_environment.setenv("S3_ENDPOINT", url)
        assert script.main() == 0
    assert store.buckets == {"frcnn"}


@pytest.mark.parametrize("script", ["make_bucket"], indirect=True)
def test_line_breaks_at_the_end_of_settings_do_no_harm(script, s3_environment):
    store = S3()
    with serving(store) as url:
        for name, value in {"S3_ENDPOINT": url, "AWS_SECRET_ACCESS_KEY": "secret"}.items():
            s3_environment.setenv(name, f"{value}\n")
        assert script.main() == 0
    assert store.buckets == {"frcnn"}


@pytest.mark.parametrize("script", ["mirror_logs"], indirect=True)
def test_event_files_are_copied_when_they_changed(script, tmp_path):
    class Store:
        def __init__(self):
            self.etags = {
                "runs/a/events.out.tfevents.1": "1",
                "runs/a/model.tlt": "1",
                "runs/../../events.out.tfevents.2": "1",
            }

        def list_objects(self, bucket, prefix, recursive):
            assert (bucket, prefix, recursive) == ("frcnn", "runs/", True)
            return [SimpleNamespace(object_name=name, etag=etag) for name, etag in self.etags.items()]

        def fget_object(self, bucket, name, path):
            Path(path).write_text(self.etags[name], "utf-8")

    store, known = Store(), {}
    assert script.mirror(store, "frcnn", "runs/", tmp_path, known) == 1
    assert script.mirror(store, "frcnn", "runs/", tmp_path, known) == 0
    store.etags["runs/a/events.out.tfevents.1"] = "2"
    assert script.mirror(store, "frcnn", "runs/", tmp_path, known) == 1
    assert [path.read_text("utf-8") for path in tmp_path.rglob("*") if path.is_file()] == ["2"]


class Kubeflow:
    """Pipelines, versions and schedules, two to a page."""

    def __init__(self):
        self.lists = {"pipelines": [], "pipeline_versions": [], "recurringRuns": []}
        self.tokens = set()

    def __call__(self, method, path, query, body, headers):
        self.tokens.add(headers["Authorization"])
        answer = self.answer(method, path.removeprefix("/apis/v2beta1/"), query, body)
        return 200, json.dumps(answer).encode()

    def answer(self, method, path, query, body):
        if path == "pipelines/upload":
            assert b"pipelineInfo" in body
            self.lists["pipelines"].append({"pipeline_id": "p1", "display_name": query["name"]})
            return self.lists["pipelines"][-1]
        if path == "pipelines/upload_version":
            entry = {"display_name": query["name"], "pipeline_version_id": f"v{query['name'][-4:]}"}
            self.lists["pipeline_versions"].append(entry)
            return entry
        if path.endswith(":disable"):
            found = [run for run in self.lists["recurringRuns"] if run["recurring_run_id"] in path]
            found[0]["status"] = "DISABLED"
            return {}
        if method == "POST":
            run = {**json.loads(body), "recurring_run_id": f"r{len(self.lists['recurringRuns'])}"}
            self.lists["recurringRuns"].append({**run, "status": "ENABLED"})
            return run
        key = {"pipelines": "pipelines", "recurringruns": "recurringRuns"}.get(path, "pipeline_versions")
        start = int(query.get("page_token") or 0)
        page = {key: self.lists[key][start : start + 2]}
        return {**page, "next_page_token": str(start + 2)} if self.lists[key][start + 2 :] else page


@pytest.fixture
def publish_environment(monkeypatch, tmp_path):
    (tmp_path / "pipeline.yaml").write_text("pipelineInfo: {name: x}\n", "utf-8")
    (tmp_path / "token").write_text("abc\n", "utf-8")
    for name, value in {
        "PIPELINE_FILE": str(tmp_path / "pipeline.yaml"),
        "PIPELINE_NAME": "faster-rcnn",
        "PIPELINE_NAMESPACE": "vision",
        "KFP_TOKEN_FILE": str(tmp_path / "token"),
        "RECURRING_NAME": "weekly",
        "RECURRING_CRON": "0 0 2 * * 0",
        "RECURRING_PARAMETERS": '{"epochs": 12}',
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.parametrize("script", ["publish"], indirect=True)
def test_pipeline_is_uploaded_once_for_each_content(script, publish_environment, tmp_path):
    kubeflow = Kubeflow()
    with serving(kubeflow) as url:
        publish_environment.setenv("KFP_ENDPOINT", url)
        assert [script.main(), script.main()] == [0, 0]
        assert [len(entries) for entries in kubeflow.lists.values()] == [1, 1, 1]
        for number in range(3):
            (tmp_path / "pipeline.yaml").write_text(f"pipelineInfo: {{name: x{number}}}\n", "utf-8")
            assert [script.main(), script.main()] == [0, 0]
    assert [len(entries) for entries in kubeflow.lists.values()] == [1, 4, 4]
    assert kubeflow.tokens == {"Bearer abc"}
    runs = kubeflow.lists["recurringRuns"]
    assert [run["status"] for run in runs] == ["DISABLED"] * 3 + ["ENABLED"]
    newest = kubeflow.lists["pipeline_versions"][-1]["pipeline_version_id"]
    assert runs[-1]["pipeline_version_reference"] == {"pipeline_id": "p1", "pipeline_version_id": newest}
    assert runs[-1]["runtime_config"] == {"parameters": {"epochs": 12}}
    assert runs[-1]["trigger"] == {"cron_schedule": {"cron": "0 0 2 * * 0"}}


@pytest.mark.parametrize("script", ["publish"], indirect=True)
def test_publication_that_is_refused_says_why(script, publish_environment, caplog):
    with serving(lambda *_: (403, b'{"error": "no access to namespace vision"}')) as url:
        publish_environment.setenv("KFP_ENDPOINT", url)
        assert script.main() == 1
    assert "no access to namespace vision" in caplog.text
