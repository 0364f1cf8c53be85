"""No output of a task takes the place of one of its inputs."""

import argparse
from pathlib import Path

import pytest

from frcnn.cli import task_runner
from frcnn.cli.overwrite_checks import refuse_overwriting
from frcnn.cli.tasks import all_tasks
from frcnn.errors import UsageError


@pytest.mark.parametrize(
    ("task", "read", "written"),
    [
        ("train", "experiment_spec", "log_file"),
        ("evaluate", "compare", "log_file"),
        ("dataset_convert", "dataset_export_spec", "log_file"),
        ("export", "model", "output_file"),
        ("export", "experiment_spec", "cal_json_file"),
        ("engine", "model", "timing_cache"),
        ("prune", "model", "log_file"),
        ("tune", "experiment_spec", "output"),
        ("tune", "space", "log_file"),
        ("spec new", "pretrained", "log_file"),
        ("export", "cal_data_file", "cal_cache_file"),
        ("pipeline", "convert_spec", "log_file"),
    ],
)
def test_an_output_that_is_an_input_is_refused_by_name(tmp_path, task, read, written):
    (tmp_path / "a").write_text("mine")
    (tmp_path / "link").symlink_to("a")
    args = argparse.Namespace(**{read: tmp_path / "a", written: tmp_path / "link"})
    with pytest.raises(UsageError, match=f"--{written} .*link is also given by --{read}"):
        refuse_overwriting(task, args)


def test_flags_that_hold_text_or_several_paths_are_checked_too(tmp_path):
    (tmp_path / "a").write_text("mine")
    same = str(tmp_path / "a")
    for args in (
        {"experiment_spec": tmp_path / "a", "output": same},
        {"classes": same, "log_file": tmp_path / "a"},
        {"files": [tmp_path / "b", tmp_path / "a"], "log_file": tmp_path / "a"},
    ):
        with pytest.raises(UsageError, match="would be overwritten"):
            refuse_overwriting("any", argparse.Namespace(**args))


def test_a_folder_may_be_read_and_written(tmp_path):
    refuse_overwriting("demo", argparse.Namespace(data=tmp_path, output=tmp_path))


def test_other_files_and_files_that_are_not_there_yet_are_fine(tmp_path):
    (tmp_path / "a").write_text("mine")
    for written in (tmp_path / "new", None, "text"):
        refuse_overwriting("train", argparse.Namespace(experiment_spec=tmp_path / "a", log_file=written))


def test_a_spec_is_not_appended_to_by_its_own_run(tmp_path):
    spec = tmp_path / "spec.txt"
    spec.write_text("kitti_config { }")
    task = all_tasks()["dataset_convert"]
    module = __import__(task.module, fromlist=["run"])
    words = ["-d", str(spec), "-o", str(tmp_path / "out"), "--log_file", str(spec)]
    assert task_runner.run(task, module, words) == 2
    assert spec.read_text() == "kitti_config { }"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("label.txt", b"car 0 0 0 1 1 9 9 0 0 0 0 0 0 0\n"),
        ("photo.jpg", b"\xff\xd8\xff"),
        ("s.txt", b"a {}\n"),
    ],
)
def test_the_log_is_not_appended_to_a_file_that_is_no_log(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=f"--log_file .*{name}: this file exists and is not a log"):
        refuse_overwriting("train", argparse.Namespace(log_file=tmp_path / name))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.txt", ""),
        ("other.log", "lines of another program"),
        ("former.txt", "Converted: boxes\n2026-11-30 13:00:01,234 INFO frcnn.console.progress: done\n"),
    ],
)
def test_a_log_is_appended_to(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    refuse_overwriting("train", argparse.Namespace(log_file=tmp_path / name))
    refuse_overwriting("train", argparse.Namespace(log_file=tmp_path / "new.txt"))
    refuse_overwriting("train", argparse.Namespace(log_file=Path("/dev/null")))
