"""Table of epochs: its contents, and the rows that a resume keeps."""

import csv

import keras
import numpy as np

from frcnn.training.callbacks.training_log import TrainingLog


def run(folder, first: int, last: int, earlier=(), **extra: float) -> TrainingLog:
    """Epochs `first` to `last`, counted from 1."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.25))
    callback = TrainingLog(folder, earlier)
    callback.set_model(model)
    for epoch in range(first - 1, last):
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {"loss": np.float32(1 / (epoch + 1)), **extra})
    return callback


def rows(path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_each_epoch_is_a_row_whose_numbers_are_exact(tmp_path):
    callback = run(tmp_path, 1, 3)
    found = rows(callback.path)
    assert [row["epoch"] for row in found] == ["1", "2", "3"]
    assert [np.float32(float(row["loss"])) for row in found] == [np.float32(1 / n) for n in (1, 2, 3)]
    assert float(found[0]["learning_rate"]) == 0.25
    assert float(found[0]["seconds"]) >= 0.0


def test_a_resume_keeps_the_rows_of_its_checkpoint_and_replaces_repeated_ones(tmp_path):
    known = run(tmp_path, 1, 3).rows()[:2]
    callback = run(tmp_path / "elsewhere", 3, 4, earlier=known, mAP=0.5)
    found = rows(callback.path)
    assert [row["epoch"] for row in found] == ["1", "2", "3", "4"]
    assert [row["mAP"] for row in found] == ["", "", "0.5", "0.5"]
    assert [row["loss"] for row in callback.rows()[:2]] == [1.0, 0.5]


def test_a_new_run_starts_anew_and_nan_is_an_empty_cell(tmp_path):
    run(tmp_path, 1, 3)
    callback = run(tmp_path, 1, 1, mAP=float("nan"))
    assert [(row["epoch"], row["mAP"]) for row in rows(callback.path)] == [("1", "")]


def test_a_resumed_run_writes_the_epochs_before_it_at_once(tmp_path):
    log = TrainingLog(tmp_path, [{"epoch": 1.0, "loss": 0.5, "mAP": 0.25}])
    log.on_train_begin()
    assert (tmp_path / "training_log.csv").read_text().splitlines()[1:] == ["1,,,0.5,0.25"]
    fresh = TrainingLog(tmp_path / "fresh")
    fresh.on_train_begin()
    assert not (tmp_path / "fresh").exists()
