"""Runs on a cluster: what is sent, what is said, and which exit code each outcome has."""

import argparse
import contextlib
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

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


def test_more_workers_at_least_than_at_most_are_refused_before_anything_is_sent(kubeflow, spec, capsys):
    assert submit(kubeflow, spec, "--num_workers", "2", "--min_workers", "3") == 2
    assert "--min_workers 3: expected at most the 2 of --num_workers" in capsys.readouterr().err
    assert kubeflow.runs == []


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
    assert "run run-0 was cancelled; submit it again" in capsys.readouterr().err


def test_waiting_ends_after_the_timeout_and_says_how_to_go_on(kubeflow, spec, capsys):
    kubeflow.script = [RUNNING]
    assert submit(kubeflow, spec, "--wait", "--timeout", "0.05") == 1
    assert "frcnn pipeline status run-0 --wait follows it again" in capsys.readouterr().err


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
    assert "upstream connect error; trying again" in capsys.readouterr().err


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
    assert "run nothing: no such thing in this server; frcnn pipeline list" in capsys.readouterr().err


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
    assert "no schedule of that name; there is: none" in capsys.readouterr().err


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
    assert capsys.readouterr().out.endswith(" (was there already)\n")
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
        assert f"refused the token from {tmp_path / 'token'} (401)" in error
        assert "wrong" not in error
        assert submit(double, spec) == 1
        assert "refused a request without a token (401)" in capsys.readouterr().err
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
    assert "no right to do that in namespace theirs (403): User 'ci' is not authorized" in error
    assert double.runs == []


def test_a_server_that_is_down_is_named(spec, capsys):
    with KubeflowDouble() as double:
        pass
    assert submit(double, spec) == 1
    assert f"{double.url}: cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list"], "which Kubeflow? give --host or set KF_PIPELINES_ENDPOINT"),
        (["list", "--host", "localhost:8080"], "expected a URL that begins with http"),
        (["cancel", "--host", "http://h"], "which run? give its id"),
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
