import math
import subprocess
import sys

import pytest

from frcnn.errors import NotFiniteError
from frcnn.model.files.training_record import TrainingRecord
from frcnn.settings.training import training_run
from frcnn.single_writer import PlaceBusyError
from frcnn.steps.specs import with_training
from frcnn.training import resume, trainer
from frcnn.training.resume import train_or_resume
from frcnn.training.s3_backup import train_with_s3_backup
from tests.support.toy_training import toy_spec


@pytest.fixture
def trained(monkeypatch):
    """Notes the runs that training is asked for, and does not train."""
    runs = []
    monkeypatch.setattr(resume, "train", lambda run, folder, **options: runs.append(run))
    return runs


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_without_a_checkpoint_training_starts_as_the_spec_says(tmp_path, trained):
    spec = with_training(toy_spec(tmp_path), epochs=5, retrain=tmp_path / "pruned.keras")
    train_or_resume(training_run(spec), tmp_path / "none")
    (given,) = trained
    assert given.start.retrain_pruned_model == str(tmp_path / "pruned.keras")
    assert (given.start.resume_from_model, given.checkpoints.keep) == ("", 2)


def test_a_checkpoint_is_resumed_instead_of_starting_from_the_pruned_model_again(tmp_path, trained):
    spec = with_training(toy_spec(tmp_path), epochs=5, retrain=tmp_path / "pruned.keras")
    folder = touch(tmp_path / "c", "net.epoch_3.keras")
    train_or_resume(training_run(spec), folder)
    start = trained[0].start
    assert start.resume_from_model == str(folder / "net.epoch_3.keras")
    assert (start.retrain_pruned_model, trained[0].epochs) == ("", 5)


def test_a_retry_goes_on_from_the_newest_checkpoint_that_is_not_spoilt(tmp_path, monkeypatch, caplog):
    asked = []

    def train(run, folder, **options):
        asked.append(run.start.resume_from_model)
        if asked[-1].endswith(("epoch_3.keras", "epoch_2.keras")):
            raise NotFiniteError(f"{asked[-1]}: spoilt")

    monkeypatch.setattr(resume, "train", train)
    folder = touch(tmp_path / "c", *(f"net.epoch_{epoch}.keras" for epoch in (1, 2, 3)))
    train_or_resume(training_run(with_training(toy_spec(tmp_path), epochs=5, retrain=None)), folder)
    assert [name.rpartition(".epoch_")[2] for name in asked] == ["3.keras", "2.keras", "1.keras"]
    assert "epoch_3.keras: spoilt" in caplog.text


def test_a_training_whose_checkpoints_are_all_spoilt_starts_anew(tmp_path, monkeypatch):
    asked = []

    def train(run, folder, **options):
        asked.append(run.start.resume_from_model)
        if asked[-1]:
            raise NotFiniteError("spoilt")

    monkeypatch.setattr(resume, "train", train)
    folder = touch(tmp_path / "c", "net.epoch_1.keras")
    train_or_resume(training_run(with_training(toy_spec(tmp_path), epochs=5, retrain=None)), folder)
    assert asked == [str(folder / "net.epoch_1.keras"), ""]


def test_a_training_that_has_all_its_epochs_is_not_run_again(tmp_path, trained, monkeypatch):
    spec = with_training(toy_spec(tmp_path), epochs=3, retrain=None)
    folder = touch(tmp_path / "c", "net.epoch_3.tlt", "net.best.tlt")
    record = TrainingRecord("resnet:10", ("car",), epoch=3, metrics={"loss": 0.5, "mAP": 0.25})
    monkeypatch.setattr(resume, "read_record", lambda path, key: record)
    result = train_or_resume(training_run(spec), folder, key="k")
    assert trained == []
    assert (result.checkpoint, result.best) == (folder / "net.epoch_3.tlt", folder / "net.best.tlt")
    assert (result.epochs, result.loss, result.mean_ap) == (3, 0.5, 0.25)


@pytest.mark.slow
def test_a_second_run_adds_the_missing_epochs_and_a_third_none(tmp_path):
    one = toy_spec(tmp_path, images=4)
    two = with_training(one, epochs=2, retrain=None)
    first = train_or_resume(training_run(one), tmp_path / "c")
    second = train_or_resume(training_run(two), tmp_path / "c")
    assert first.checkpoint.name == "frcnn_resnet_10.epoch_1.keras"
    assert second.checkpoint.name == "frcnn_resnet_10.epoch_2.keras"
    before = second.checkpoint.stat().st_mtime_ns
    third = train_or_resume(training_run(two), tmp_path / "c")
    assert third.checkpoint.stat().st_mtime_ns == before
    assert third.loss == pytest.approx(second.loss, rel=1e-6)
    assert not math.isnan(third.loss)


def test_a_second_training_in_the_folder_is_refused_whoever_starts_it(tmp_path):
    code = """if True:
        import sys
        from pathlib import Path
        from frcnn.distributed.world import RankInfo
        from frcnn.training.run_folder import only_training_in
        with only_training_in(Path(sys.argv[1]), RankInfo()):
            print("held", flush=True)
            sys.stdin.read()
    """
    (tmp_path / "data").mkdir()
    spec = toy_spec(tmp_path / "data", images=1, validation=1)
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"held\n"
        for start in (trainer.train, train_or_resume, train_with_s3_backup):
            with pytest.raises(PlaceBusyError, match=f"{tmp_path}.*process {first.pid}"):
                start(training_run(spec), tmp_path)
        first.stdin.close()
