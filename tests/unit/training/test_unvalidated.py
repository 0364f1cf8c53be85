"""A run that ends while it validates keeps the epoch, and the next one validates it."""

import csv

import numpy as np
import pytest

from frcnn.model.files.archive import read_weights
from frcnn.model.files.training_record import TrainingRecord, read_record
from frcnn.settings.training import training_run
from frcnn.steps.specs import with_training
from frcnn.training.callbacks import validation
from frcnn.training.run_folder import checkpoint_in
from frcnn.training.trainer import train
from frcnn.training.unvalidated import lacks_validation
from tests.support.toy_training import toy_spec


@pytest.mark.parametrize(
    ("epoch", "metrics", "expected"),
    [
        (0, {}, False),  # not trained at all
        (1, {"loss": 1.0}, False),  # validation is every second epoch
        (2, {"loss": 1.0}, True),
        (2, {"loss": 1.0, "mAP": float("nan")}, False),  # without objects
        (3, {"loss": 1.0}, True),  # the last one
    ],
)
def test_only_epochs_that_should_have_been_validated_lack_it(tmp_path, epoch, metrics, expected):
    spec = toy_spec(
        tmp_path, training="num_epochs: 3", evaluation="validation_period_during_training: 2 batch_size: 1"
    )
    record = TrainingRecord("resnet:10", ("car",), epoch=epoch, metrics=metrics)
    assert lacks_validation(training_run(spec), record) == expected


class _CutError(Exception):
    pass


def _cut(*args, **options):
    raise _CutError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Spec and results of a training of two epochs that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    spec = with_training(toy_spec(folder, images=4), epochs=2, retrain=None)
    train(training_run(spec), folder / "results")
    return spec, folder / "results"


@pytest.mark.slow
@pytest.mark.parametrize("cut_in", [1, 2])
def test_a_run_cut_off_in_validation_ends_as_one_that_was_not(whole, tmp_path, monkeypatch, cut_in):
    spec, undisturbed = whole
    evaluate, calls = validation.evaluate, []

    def cut_once(*args, **options):
        calls.append(1)
        return _cut() if len(calls) == cut_in else evaluate(*args, **options)

    monkeypatch.setattr(validation, "evaluate", cut_once)
    with pytest.raises(_CutError):
        train(training_run(spec), tmp_path / "cut")
    newest = checkpoint_in(tmp_path / "cut", "latest")
    assert newest.name == f"frcnn_resnet_10.epoch_{cut_in}.keras"
    assert "mAP" not in read_record(newest).metrics
    train(training_run(spec.updated({"training_config.resume_from_model": str(newest)})), tmp_path / "cut")
    names = sorted(path.name for path in undisturbed.glob("*.keras"))
    assert sorted(path.name for path in (tmp_path / "cut").glob("*.keras")) == names
    for name in names:
        one, other = (read_record(folder / name) for folder in (undisturbed, tmp_path / "cut"))
        assert (one.epoch, one.step, one.metrics) == (other.epoch, other.step, other.metrics)
        one, other = (
            read_weights(folder / name, folder / name) for folder in (undisturbed, tmp_path / "cut")
        )
        for path, array in one.arrays.items():
            np.testing.assert_array_equal(array, other.arrays[path])
    rows = [
        [
            {key: value for key, value in row.items() if key != "seconds"}
            for row in csv.DictReader((folder / "training_log.csv").read_text().splitlines())
        ]
        for folder in (undisturbed, tmp_path / "cut")
    ]
    assert rows[0] == rows[1]
