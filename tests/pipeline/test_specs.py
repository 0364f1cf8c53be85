"""Specs for the text field of Kubeflow's UI: pushed to S3, or printed as one line."""

import pytest

from frcnn.cli import task_runner
from frcnn.cli.tasks import Task
from frcnn.steps.specs import experiment_given
from pipelines import command
from tests.pipeline.tiny import SPEC


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.txt"
    path.write_text(f"# a remark {{\n{SPEC}")
    return path


def frcnn(*words):
    task = Task("pipeline", "pipelines.command", "", prints_status=False)
    return task_runner.run(task, command, [str(word) for word in words])


def test_what_is_printed_can_be_pasted(spec, capsys):
    assert frcnn("paste-spec", spec) == 0
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert experiment_given(line.rstrip("\n")).training_config.num_epochs == 1


def test_the_flags_of_every_task_are_taken_before_and_after_the_name_of_a_command(spec, tmp_path, capsys):
    log = tmp_path / "log.txt"
    assert frcnn("paste-spec", "missing.txt", "-v", "--log_file", log) == 2
    assert "Traceback" in capsys.readouterr().err
    assert "missing.txt" in log.read_text()
    assert frcnn("-v", "--log_file", log, "paste-spec", "other.txt") == 2
    assert "Traceback" in capsys.readouterr().err
    assert "other.txt" in log.read_text()


def test_what_is_printed_has_no_key(tmp_path, capsys):
    (tmp_path / "sealed.txt").write_text(f'enc_key: "hush"\n{SPEC}')
    assert frcnn("paste-spec", tmp_path / "sealed.txt") == 0
    said = capsys.readouterr()
    assert "hush" not in said.out + said.err
    assert said.out.endswith(' enc_key: "***"\n')


@pytest.mark.parametrize(
    "uri", ["spec.txt", "s3://bucket", "s3://bucket/", "s3://bucket/folder/", "gs://b/n"]
)
def test_a_place_that_is_no_objects_is_refused(uri, spec, capsys):
    assert frcnn("push-spec", spec, uri) == 2
    assert "expected s3://bucket/name.txt" in capsys.readouterr().err


def test_a_spec_with_faults_is_not_pushed(tmp_path, capsys):
    (tmp_path / "bad.txt").write_text("training_config { num_epochz: 3 }")
    assert frcnn("push-spec", tmp_path / "bad.txt", "s3://bucket/name.txt") == 2
    assert "did you mean 'num_epochs'" in capsys.readouterr().err
