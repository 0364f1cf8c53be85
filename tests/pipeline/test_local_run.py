"""Surroundings of a local run: fingerprints for its cache, links to its artifacts, its result."""

import os
from pathlib import Path

import pytest
from kfp import dsl

from frcnn.cli.main import main
from frcnn.errors import RunError
from frcnn.steps.quality_gate import Gate
from pipelines.local import fingerprint
from pipelines.local.processes import StepRun
from pipelines.local.run import LocalRun, link_latest


def step(name, folder, **metadata):
    place = folder / name
    place.mkdir(parents=True)
    report = dsl.Artifact(name="report", uri=str(place), metadata=metadata)
    return StepRun(name, "done", 1.0, {"report": report}, {})


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data" / "labels").mkdir(parents=True)
    (tmp_path / "data" / "labels" / "a.txt").write_text("one")
    (tmp_path / "data" / "b.txt").write_text("two")
    return tmp_path / "data"


def test_the_same_files_have_the_same_fingerprint_wherever_they_lie(data, tmp_path):
    before = fingerprint.of_data(data)
    data.rename(tmp_path / "elsewhere")
    assert fingerprint.of_data(tmp_path / "elsewhere") == before


@pytest.mark.parametrize(
    "change",
    [
        lambda data: (data / "c.txt").write_text(""),
        lambda data: (data / "b.txt").unlink(),
        lambda data: (data / "b.txt").rename(data / "c.txt"),
        lambda data: (data / "labels" / "a.txt").write_text("other"),
        lambda data: os.utime(data / "b.txt", (1, 1)),
    ],
)
def test_any_change_of_the_files_changes_the_fingerprint(data, change):
    before = fingerprint.of_data(data)
    change(data)
    assert fingerprint.of_data(data) != before


def test_links_are_those_of_the_last_run(tmp_path):
    link_latest([step("prune", tmp_path / "1")], tmp_path / "latest")
    link_latest([step("evaluate retrained", tmp_path / "2")], tmp_path / "latest")
    links = [path for path in (tmp_path / "latest").rglob("*") if path.is_symlink()]
    assert links == [tmp_path / "latest" / "evaluate-retrained" / "report"]
    assert links[0].readlink() == Path("../../2/evaluate retrained")
    assert links[0].resolve() == tmp_path / "2" / "evaluate retrained"
    assert (tmp_path / "1" / "prune").is_dir()


def test_links_are_good_where_their_folder_is_moved_to(tmp_path):
    link_latest([step("prune", tmp_path / "demo" / "run")], tmp_path / "demo" / "latest")
    (tmp_path / "demo").rename(tmp_path / "moved")
    link = tmp_path / "moved" / "latest" / "prune" / "report"
    assert not link.readlink().is_absolute()
    assert link.resolve() == tmp_path / "moved" / "run" / "prune"


def test_files_of_the_user_among_the_links_are_left_alone(tmp_path):
    kept = tmp_path / "latest" / "notes.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(RunError, match="is not a link to an artifact"):
        link_latest([], tmp_path / "latest")
    assert kept.read_text() == "mine"


def test_the_verdict_is_that_of_the_last_evaluation_unless_something_was_exported(tmp_path):
    good = step("evaluate", tmp_path, objections="")
    bad = step("evaluate retrained", tmp_path, objections="mAP 0.1 is below")
    export = StepRun("export", "done", 1.0, {}, {})
    assert LocalRun((good, bad), Path()).objections == "mAP 0.1 is below"
    assert LocalRun((good, bad, export), Path()).objections == ""


@pytest.mark.parametrize(
    ("objection", "remedy"),
    [
        (
            Gate(0.3).objections(0.0468)[0],
            "Train for longer (--epochs), or, for a trial, pass --minimum_map 0 --tolerance 1; ",
        ),
        (Gate(0.3, 0.9, 0.02).objections(0.5)[0], "Retrain for longer (--retrain_epochs), prune less "),
    ],
)
def test_a_closed_gate_is_told_with_the_report_and_what_to_do(
    data, tmp_path, monkeypatch, capsys, objection, remedy
):
    evaluated = step("evaluate retrained", tmp_path / "run", objections=objection)
    ended = LocalRun((evaluated,), tmp_path / "latest")
    monkeypatch.setattr("pipelines.local.run.run_locally", lambda *words, **flags: ended)
    assert main(["pipeline", "run", "--data", str(data)]) == 1
    said = capsys.readouterr().err
    assert (
        f"nothing exported: {objection}. See {tmp_path}/latest/evaluate-retrained/report/report.html. "
        in said
    )
    assert remedy in said
    assert "docs/troubleshooting.md" in said


def test_a_file_behind_a_link_counts_and_links_that_lead_nowhere_or_round_do_no_harm(data, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "labels").symlink_to(data / "labels")
    (linked / "b.txt").symlink_to(data / "b.txt")
    before = [fingerprint.of_data(linked)]
    (data / "labels" / "a.txt").write_text("another label")
    before.append(fingerprint.of_data(linked))
    (data / "b.txt").write_text("another file")
    before.append(fingerprint.of_data(linked))
    (linked / "gone").symlink_to("nowhere")
    (data / "labels" / "up").symlink_to(linked)
    before.append(fingerprint.of_data(linked))
    os.mkfifo(linked / "pipe")
    before.append(fingerprint.of_data(linked))
    assert len(set(before)) == len(before)
    assert fingerprint.of_data(linked) == before[-1]


@pytest.mark.parametrize("runner", ["process", "docker"])
def test_packages_that_any_step_misses_are_named_before_the_first_one(
    data, tmp_path, monkeypatch, capsys, runner
):
    missing = ("h5py", "matplotlib", "tensorflow")
    monkeypatch.setattr("frcnn.packages._is_installed", lambda package: package not in missing)
    monkeypatch.setattr("pipelines.local.run.run_locally", lambda *words, **flags: 1 / 0)
    assert main(["pipeline", "run", "--data", str(data), "--runner", runner]) == 1
    said = capsys.readouterr().err
    if runner == "docker":  # whose images have their own packages
        assert "ZeroDivisionError" in said
        return
    assert (
        "frcnn pipeline needs the packages h5py, matplotlib and tensorflow, which are not installed: "
        "pip install 'frcnn[evaluate,export,pipeline,cpu]'"
    ) in said
