"""Runs on a cluster: what is sent, what is said, and which exit code each outcome has."""

import argparse
import contextlib
import http.server
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import urllib.request
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from frcnn.cli import task_runner
from frcnn.cli.tasks import Task
from pipelines import command
from pipelines.compile import COMPILED
from pipelines.remote import package
from tests.pipeline.tiny import SPEC
from tests.support.kubeflow_double import KubeflowDouble

YAML = COMPILED / "faster_rcnn.yaml"
RUNNING = ("RUNNING", [("root-driver", "SUCCEEDED"), ("convert", "SUCCEEDED"), ("train", "RUNNING")])
ALL = [
    (name, "SUCCEEDED")
    for name in (
        *("convert", "train", "evaluate", "prune", "retrain", "evaluate-retrained"),
        *("export", "compare", "notify"),
    )
]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("ENDPOINT", "NAMESPACE", "TOKEN", "SA_TOKEN_PATH"):
        monkeypatch.delenv(f"KF_PIPELINES_{name}", raising=False)
    for name in ("FRCNN_REGISTRY", "FRCNN_TAG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def compiled_before(monkeypatch):
    """The checked-in YAML, which is what would be compiled (test_compiled.py), at less cost."""
    monkeypatch.setattr(package, "compiled", lambda args: contextlib.nullcontext(YAML))


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.txt"
    path.write_text(SPEC)
    return path


@pytest.fixture
def kubeflow():
    with KubeflowDouble() as double:
        yield double
    assert double.faults == []


def frcnn(*words):
    task = Task("pipeline", "pipelines.command", "", says_status=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # urllib3 pools of the generated client
        return task_runner.run(task, command, [str(word) for word in words])


def submit(double, spec, *words):
    where = ("--host", double.url, "--poll", "0.01")
    return frcnn("submit", "--spec", spec, "--data", "s3://data/kitti", *where, *words)


def test_a_run_is_submitted_with_its_parameters_and_images(kubeflow, spec, capsys):
    code = submit(kubeflow, spec, "--epochs", "3", "--name", "nightly", "--service_account", "trainer")
    assert code == 0
    (run,) = kubeflow.runs
    parameters = run["runtime_config"]["parameters"]
    assert (parameters["data"], parameters["spec"], parameters["epochs"]) == ("s3://data/kitti", SPEC, 3)
    assert (parameters["minimum_map"], parameters["num_workers"]) == (0.3, 1)
    assert (run["display_name"], run["service_account"]) == ("nightly", "trainer")
    assert capsys.readouterr().out == f"run: run-0\n{kubeflow.url}/#/runs/details/run-0\n"


def test_a_run_needs_no_spec(kubeflow):
    where = ("--host", kubeflow.url, "--poll", "0.01")
    assert frcnn("submit", "--data", "s3://data/kitti", *where) == 0
    (run,) = kubeflow.runs
    assert run["runtime_config"]["parameters"]["spec"] == ""


def test_fields_cannot_be_set_without_a_spec(kubeflow, capsys):
    words = ("--host", kubeflow.url, "--set", "training_config.num_epochs=3")
    assert frcnn("submit", "--data", "s3://data/kitti", *words) == 2
    assert "--set requires --spec" in capsys.readouterr().err
    assert kubeflow.runs == []


def test_more_workers_at_least_than_at_most_are_refused_before_anything_is_sent(kubeflow, spec, capsys):
    assert submit(kubeflow, spec, "--num_workers", "2", "--min_workers", "3") == 2
    assert "--min_workers 3: expected at most the 2 of --num_workers" in capsys.readouterr().err
    assert kubeflow.runs == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--poll", "0"], "--poll 0: expected a number above 0, in seconds"),
        (["--poll", "-1"], "--poll -1: expected a number above 0, in seconds"),
        (["--timeout", "0"], "--timeout 0: expected a number above 0, in seconds"),
        (["--timeout", "nan"], "--timeout nan: expected a number above 0, in seconds"),
        (["--stalled", "-1"], "--stalled -1: expected 0 or more, in seconds"),
        (["--namespace", "Team A"], "--namespace Team A: expected the name of a namespace"),
        (
            ["--service_account", "My Account"],
            "--service_account My Account: expected the name of an account",
        ),
        (["--data", ""], "--data is empty: expected s3://bucket/prefix"),
        (["--data", "gs://b/d"], "--data gs://b/d: unsupported URI"),
        (["--spec", "gs://b/s.txt"], "--spec gs://b/s.txt: unsupported URI"),
    ],
)
def test_flags_that_cannot_be_right_are_named_before_anything_is_sent(kubeflow, spec, words, message, capsys):
    assert submit(kubeflow, spec, *words) == 2
    assert message in capsys.readouterr().err
    assert kubeflow.runs == []


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


def test_images_are_those_of_registry_and_tag():
    """In a process of its own: the steps' definitions read registry and tag when they are imported."""
    code = (
        "import argparse, sys; from pipelines.remote import package\n"
        "with package.compiled(argparse.Namespace(registry='my.registry/team', tag='7')) as path:\n"
        "    sys.stdout.write(path.read_text())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment_of_package()
    )
    images = set(re.findall(r"image: (\S+)", done.stdout))
    steps = ("convert", "train", "evaluate", "prune", "export", "publish")
    assert images == {f"my.registry/team/frcnn-{step}:7" for step in steps}


def environment_of_package():
    root = Path(__file__).parents[2]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "shared" / "src"), str(root)])}


def test_a_spec_on_s3_is_sent_as_its_uri(kubeflow):
    assert submit(kubeflow, "s3://specs/kitti.txt") == 0
    assert kubeflow.runs[0]["runtime_config"]["parameters"]["spec"] == "s3://specs/kitti.txt"


def test_fields_that_are_set_are_sent_in_the_text_of_the_spec(kubeflow, spec, capsys):
    from frcnn.spec.load import parse_experiment

    settings = ("--set", "random_seed=77", "--set", "training_config.num_epochs=3")
    assert submit(kubeflow, spec, *settings) == 0
    sent = parse_experiment(kubeflow.runs[0]["runtime_config"]["parameters"]["spec"]).spec
    assert (sent.random_seed, sent.training_config.num_epochs) == (77, 3)
    assert submit(kubeflow, spec, "--set", "training_config.num_epoch=3") == 2
    assert "did you mean 'num_epochs'?" in capsys.readouterr().err
    assert submit(kubeflow, "s3://specs/kitti.txt", *settings) == 2
    assert len(kubeflow.runs) == 1


@pytest.mark.parametrize("command", ["submit", "schedule"])
def test_no_request_has_the_key_of_a_spec(kubeflow, tmp_path, command, caplog, capsys):
    path = tmp_path / "sealed.txt"
    path.write_text(f'# hush\nenc_key: "hush"\n{SPEC}')
    words = ("--spec", path, "--data", "s3://data/kitti", "--host", kubeflow.url)
    more = ("--name", "weekly", "--cron", "0 2 * * 0") if command == "schedule" else ()
    assert frcnn(command, *words, *more) == 0
    (sent,) = kubeflow.runs if command == "submit" else kubeflow.schedules
    assert "hush" not in json.dumps(sent)
    assert 'enc_key: "***"' in sent["runtime_config"]["parameters"]["spec"]
    said = capsys.readouterr()
    assert "hush" not in said.out + said.err + caplog.text
    assert "enc_key is not sent" in said.err + caplog.text


def test_a_spec_with_faults_is_not_submitted(kubeflow, tmp_path, capsys):
    (tmp_path / "bad.txt").write_text("training_config { num_epochz: 3 }")
    assert submit(kubeflow, tmp_path / "bad.txt") == 2
    assert "did you mean 'num_epochs'" in capsys.readouterr().err
    assert kubeflow.calls == []


def test_runs_share_an_experiment(kubeflow, spec):
    for _ in range(2):
        assert submit(kubeflow, spec) == 0
    assert [each["display_name"] for each in kubeflow.experiments] == ["faster-rcnn"]


def test_waiting_says_what_steps_do_and_ends_well_if_a_model_was_exported(kubeflow, spec, capsys):
    kubeflow.script = [("PENDING", []), RUNNING, ("SUCCEEDED", ALL)]
    assert submit(kubeflow, spec, "--wait") == 0
    shown = capsys.readouterr()
    for line in ("step train: running", "step train: succeeded", "step retrain: succeeded"):
        assert line in shown.err
    table = [line.split() for line in shown.out.splitlines()]
    assert ["evaluate", "retrained", "succeeded", "30"] in table
    assert "root-driver" not in shown.out + shown.err


def test_a_missed_floor_is_exit_code_1(kubeflow, spec, capsys):
    kubeflow.script = [("SUCCEEDED", [*ALL[:3], ("notify", "SUCCEEDED")])]
    assert submit(kubeflow, spec, "--wait", "--minimum_map", "0.9") == 1
    error = capsys.readouterr().err
    assert (
        "run run-0 exported no model: a mAP gate was missed (minimum_map 0.9; last step: evaluate)" in error
    )


def test_a_failed_step_is_named_with_its_error(kubeflow, spec, capsys):
    image = "ImagePullBackOff: frcnn-train:9.9 not found"
    kubeflow.script = [("FAILED", [("convert", "SUCCEEDED"), ("train", "FAILED", image)])]
    assert submit(kubeflow, spec, "--wait") == 1
    assert f"run run-0 failed: step train failed: {image}" in capsys.readouterr().err


def test_a_cancelled_run_ends_the_waiting(kubeflow, spec, capsys):
    kubeflow.script = [RUNNING, ("CANCELED", [("train", "FAILED")])]
    assert submit(kubeflow, spec, "--wait") == 1
    assert "run run-0 was canceled. Submit it again" in capsys.readouterr().err


def test_waiting_ends_after_the_timeout_and_says_how_to_go_on(kubeflow, spec, capsys):
    kubeflow.script = [RUNNING]
    assert submit(kubeflow, spec, "--wait", "--timeout", "0.05") == 1
    assert "Follow it again with: frcnn pipeline status run-0 --wait" in capsys.readouterr().err


STUCK = (
    "RUNNING",
    [("convert-driver", "SUCCEEDED"), ("convert", "RUNNING"), ("executor", "PENDING")],
)


def test_a_pod_that_does_not_start_ends_the_waiting_with_what_may_be_wrong_and_how_to_see_it(
    kubeflow, spec, capsys
):
    kubeflow.script = [("PENDING", []), STUCK]
    assert submit(kubeflow, spec, "--wait", "--stalled", "0.3", "--namespace", "team") == 1
    said = capsys.readouterr().err
    assert "run run-0: step convert has not started: its pod is pending, for 0 s: its image cannot" in said
    assert "kubectl -n team describe pods -l pipeline/runid=run-0" in said
    assert "Cancel it with frcnn pipeline cancel run-0" in said


def test_a_step_that_trains_for_long_is_not_taken_for_one_that_does_not_start(kubeflow, spec, capsys):
    training = ("RUNNING", [("train-driver", "SUCCEEDED"), ("train", "RUNNING"), ("executor", "RUNNING")])
    for long in (training, ("RUNNING", [])):
        kubeflow.script = [long] * 20 + [("SUCCEEDED", ALL)]
        assert submit(kubeflow, spec, "--wait", "--stalled", "0.05") == 0


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([("PENDING", [])], "no step has started"),
        (
            [("RUNNING", [("train-driver", "PENDING")])],
            "step train has not started: the pod that prepares it",
        ),
    ],
)
def test_whatever_does_not_start_is_named(script, said, kubeflow, spec, capsys):
    kubeflow.script = script
    assert submit(kubeflow, spec, "--wait", "--stalled", "0.1") == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("down", [False, True])
def test_neither_a_long_poll_nor_a_server_that_is_down_outlasts_the_timeout(down):
    from frcnn.errors import RunError
    from pipelines.remote.connection import ServerError
    from pipelines.remote.follow import follow

    class Asked:
        namespace = None

        def ask(self, question, what=""):
            if down:
                raise ServerError("it is unreachable", None)
            return SimpleNamespace(state="RUNNING", run_details=None, run_id="run-1")

    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    message = "it is unreachable" if down else "has not ended after 45 s and continues"
    with pytest.raises(RunError, match=message):
        follow(Asked(), "run-1", {}, poll=600, timeout=45, sleep=sleep, clock=lambda: now[0])
    assert now[0] == 45


def test_the_timeout_tells_of_a_pod_that_has_not_started(kubeflow, spec, capsys):
    kubeflow.script = [STUCK]
    assert submit(kubeflow, spec, "--wait", "--timeout", "0.1") == 1
    assert "step convert has not started: its pod is pending" in capsys.readouterr().err


def test_no_step_is_reused_if_nobody_wants_that_also_in_nested_pipelines(kubeflow, spec):
    assert submit(kubeflow, spec, "--no_cache") == 0
    words = ("--name", "n", "--cron", "0 2 * * 7", "--no_cache", "--spec", spec, "--data", "/d")
    assert frcnn("schedule", *words, "--host", kubeflow.url) == 0
    assert submit(kubeflow, spec) == 0
    never, scheduled, usual = (
        each["pipeline_spec"]["pipeline_spec"]
        for each in (kubeflow.runs[0], kubeflow.schedules[0], kubeflow.runs[1])
    )
    for sent in (never, scheduled):
        assert reused(sent) == set()
        assert set(sent["components"]) == set(usual["components"])
    assert {"convert", "train", "export"} <= reused(usual)


def reused(sent):
    dags = [sent["root"], *sent["components"].values()]
    tasks = [task for each in dags for task in each.get("dag", {}).get("tasks", {}).items()]
    return {key for key, task in tasks if task.get("cachingOptions", {}).get("enableCache")}


@pytest.mark.parametrize("name", ["spec", "convert_spec"])
def test_a_spec_that_is_too_long_for_a_steps_argument_is_refused_by_name(
    name, kubeflow, spec, tmp_path, capsys
):
    long = tmp_path / "long.txt"
    text = SPEC if name == "spec" else EXPORT
    long.write_text(text + "# a line that somebody wrote\n" * 5000)
    words = ("--spec", long) if name == "spec" else ("--spec", spec, "--convert_spec", long)
    assert frcnn("submit", *words, "--data", "s3://d/k", "--host", kubeflow.url) == 2
    said = capsys.readouterr().err
    assert f"--{name} {long}: " in said
    assert "Linux allows 131071 in an argument" in said
    assert f"frcnn pipeline push-spec {long} s3://bucket/name.txt" in said
    assert kubeflow.runs == []


EXPORT = """kitti_config { root_directory_path: "/d" image_dir_name: "i" label_dir_name: "l"
  image_extension: ".png" partition_mode: "random" num_partitions: 2 val_split: 20 num_shards: 2 }
"""


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


def test_status_of_a_failed_run_is_exit_code_1(kubeflow, spec, capsys):
    assert submit(kubeflow, spec) == 0
    kubeflow.script = [("FAILED", [("convert", "FAILED", "no such bucket")])]
    assert frcnn("status", "run-0", "--host", kubeflow.url) == 1
    shown = capsys.readouterr()
    assert "  no such bucket\n" in shown.out
    assert "run run-0: failed" in shown.err


def test_a_run_is_cancelled(kubeflow, spec):
    assert submit(kubeflow, spec) == 0
    assert frcnn("cancel", "run-0", "--host", kubeflow.url) == 0
    assert kubeflow.runs[0]["state"] == "CANCELED"


def test_an_unknown_run_is_an_error_that_says_where_to_look(kubeflow, capsys):
    assert frcnn("cancel", "nothing", "--host", kubeflow.url) == 1
    assert (
        "run nothing does not exist in this server. List runs and schedules with frcnn pipeline list"
        in capsys.readouterr().err
    )


def test_a_schedule_replaces_the_one_of_its_name_and_does_not_catch_up(kubeflow, spec, capsys):
    for hour in ("2", "3"):
        words = ("--name", "weekly", "--cron", f"0 {hour} * * 0", "--max_concurrency", "2")
        where = ("--spec", spec, "--data", "/data", "--host", kubeflow.url)
        assert frcnn("schedule", *words, *where) == 0
    (schedule,) = kubeflow.schedules
    assert schedule["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 0"}}
    assert (schedule["no_catchup"], str(schedule["max_concurrency"])) == (True, "2")
    assert schedule["mode"] == "ENABLE"
    assert frcnn("list", "--host", kubeflow.url) == 0
    assert "0 0 3 * * 0" in capsys.readouterr().out
    assert frcnn("cancel", "--schedule", "weekly", "--host", kubeflow.url) == 0
    assert kubeflow.schedules == []
    assert frcnn("cancel", "--schedule", "weekly", "--host", kubeflow.url) == 2
    assert "no such schedule. Existing schedules: none" in capsys.readouterr().err


def test_a_list_shows_the_newest_runs_first(kubeflow, spec, capsys):
    for name in ("first", "second"):
        assert submit(kubeflow, spec, "--name", name) == 0
    capsys.readouterr()
    assert frcnn("list", "--host", kubeflow.url, "--limit", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["run-1", "pending"]
    assert "first" not in "".join(lines)


def test_the_same_pipeline_is_published_once(kubeflow, capsys):
    for _ in range(2):
        assert frcnn("publish", "--host", kubeflow.url) == 0
    assert [each["display_name"] for each in kubeflow.pipelines] == ["faster-rcnn"]
    assert len(kubeflow.versions) == 1
    assert capsys.readouterr().out.endswith(" (already exists)\n")
    assert frcnn("publish", "--host", kubeflow.url, "--version", "1.0") == 0
    assert frcnn("publish", "--host", kubeflow.url, "--version", "1.0") == 1
    assert [each["display_name"] for each in kubeflow.versions][1:] == ["1.0"]


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list"], "no Kubeflow server given. Use --host or set KF_PIPELINES_ENDPOINT"),
        (["list", "--host", "localhost:8080"], "expected a URL that begins with http"),
        (["cancel", "--host", "http://h"], "specify either the id of a run"),
        (["publish", "--host", "http://h", "--package", "/nowhere"], "--package /nowhere: no such file"),
        (["list", "--host", "http://h", "--limit", "0"], "--limit 0: expected 1 or more"),
    ],
)
def test_wrong_usage_is_exit_code_2(words, message, capsys):
    assert frcnn(*words) == 2
    assert message in capsys.readouterr().err


def test_the_double_refuses_what_the_api_does_not_have(spec):
    from pipelines.remote.connection import Connection, Server, ServerError

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


def test_the_example_in_python_runs_as_it_is(kubeflow, spec, tmp_path):
    path = Path(__file__).parents[2] / "examples" / "ci" / "retrain.py"
    example = importlib.util.module_from_spec(importlib.util.spec_from_file_location("retrain", path))
    example.__spec__.loader.exec_module(example)
    kubeflow.script = [RUNNING, ("SUCCEEDED", ALL)]
    assert example.retrain(kubeflow.url, spec, "s3://data/kitti", tmp_path, poll=0.01) == "run-0"
    assert kubeflow.runs[0]["runtime_config"]["parameters"]["minimum_map"] == 0.8


def test_the_example_workflow_gives_flags_that_there_are(tmp_path):
    workflow = yaml.safe_load((Path(__file__).parents[2] / "examples" / "ci" / "train.yml").read_text())
    (line,) = [each["run"] for each in workflow["jobs"]["train"]["steps"] if "submit" in each.get("run", "")]
    words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "0.5", line))
    assert words[:3] == ["frcnn", "pipeline", "submit"]
    flags = argparse.ArgumentParser()
    command.add_arguments(flags)
    args = flags.parse_args(words[2:])
    assert (args.minimum_map, args.wait) == (0.5, True)
