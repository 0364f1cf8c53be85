"""Runs on a cluster: what is sent, and what is refused before anything is sent."""

import argparse
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines import command
from tests.pipeline.remote.commands import ALL, RUNNING, frcnn, submit
from tests.pipeline.tiny import SPEC


def test_a_run_is_submitted_with_its_parameters_and_images(kubeflow, spec, capsys):
    words = ("--epochs", "3", "--apply_exif", "--name", "nightly", "--service_account", "trainer")
    code = submit(kubeflow, spec, *words)
    assert code == 0
    (run,) = kubeflow.runs
    parameters = run["runtime_config"]["parameters"]
    assert (parameters["data"], parameters["spec"], parameters["epochs"]) == ("s3://data/kitti", SPEC, 3)
    assert (parameters["minimum_map"], parameters["num_workers"]) == (0.3, 1)
    assert parameters["apply_exif"] is True
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
    root = Path(__file__).parents[3]
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


def test_the_example_in_python_runs_as_it_is(kubeflow, spec, tmp_path):
    path = Path(__file__).parents[3] / "examples" / "ci" / "retrain.py"
    example = importlib.util.module_from_spec(importlib.util.spec_from_file_location("retrain", path))
    example.__spec__.loader.exec_module(example)
    kubeflow.script = [RUNNING, ("SUCCEEDED", ALL)]
    assert example.retrain(kubeflow.url, spec, "s3://data/kitti", tmp_path, poll=0.01) == "run-0"
    assert kubeflow.runs[0]["runtime_config"]["parameters"]["minimum_map"] == 0.8


def test_the_example_workflow_gives_flags_that_there_are(tmp_path):
    workflow = yaml.safe_load((Path(__file__).parents[3] / "examples" / "ci" / "train.yml").read_text())
    (line,) = [each["run"] for each in workflow["jobs"]["train"]["steps"] if "submit" in each.get("run", "")]
    words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "0.5", line))
    assert words[:3] == ["frcnn", "pipeline", "submit"]
    flags = argparse.ArgumentParser()
    command.add_arguments(flags)
    args = flags.parse_args(words[2:])
    assert (args.minimum_map, args.wait) == (0.5, True)
