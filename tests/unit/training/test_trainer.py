"""Training for real, on a data set of a few squares."""

import json
import math
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from frcnn.distributed.world import RankInfo
from frcnn.errors import DataError, ModelError, RunError, UsageError
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files.checkpoint import load_checkpoint, load_model
from frcnn.settings.training import training_run
from frcnn.spec import load_experiment
from frcnn.training import opened_run
from frcnn.training.callbacks.nan_guard import NanGuard
from frcnn.training.trainer import train
from tests.support.bfloat16 import needs_bfloat16
from tests.support.toy_training import toy_spec

STEADY = "learning_rate { step { base_lr: 0.001 gamma: 1.0 step_size: 30 } }"
THREE_EPOCHS = f"num_epochs: 3 batch_size_per_gpu: 2 optimizer {{ adam {{ }} }} {STEADY}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A training of three epochs: its folder, its spec and its result."""
    folder = tmp_path_factory.mktemp("toy")
    spec = toy_spec(folder, training=THREE_EPOCHS)
    return folder, spec, train(training_run(spec), folder / "results")


def weights(path: Path) -> list[np.ndarray]:
    """All that a checkpoint has of the network and the optimizer."""
    model, _, state = load_checkpoint(path)
    return [*model.get_weights(), *(array for group in state.groups.values() for array in group)]


def test_training_lowers_the_loss_and_writes_a_checkpoint_each_epoch(finished):
    folder, _, result = finished
    names = sorted(path.name for path in (folder / "results").glob("*.keras"))
    assert names == [
        "frcnn_resnet_10.best.keras",
        *(f"frcnn_resnet_10.epoch_{epoch}.keras" for epoch in (1, 2, 3)),
    ]
    losses = [load_model(folder / "results" / name)[1].metrics["loss"] for name in names[1:]]
    assert losses[2] < losses[1] < losses[0]
    assert result.checkpoint == folder / "results" / "frcnn_resnet_10.epoch_3.keras"
    assert math.isclose(result.loss, losses[2], rel_tol=1e-6)


def test_status_records_follow_the_epochs(finished):
    folder, _, _ = finished
    records = [json.loads(line) for line in (folder / "results" / "status.json").read_text().splitlines()]
    assert [(record["epoch"], record["max_epoch"]) for record in records] == [(1, 3), (2, 3), (3, 3)]
    assert records[0]["graphical"]["learning_rate"] == pytest.approx(0.001)
    assert "mean average precision" in records[-1]["kpi"]


def test_a_resumed_training_ends_with_the_bytes_of_an_uninterrupted_one(finished, tmp_path):
    folder, _, result = finished
    shutil.copyfile(
        folder / "results" / "frcnn_resnet_10.epoch_1.keras", tmp_path / "frcnn_resnet_10.epoch_1.keras"
    )
    resume = f'resume_from_model: "{tmp_path}/frcnn_resnet_10.epoch_1.keras"'
    again = train(training_run(toy_spec(tmp_path, training=f"{THREE_EPOCHS} {resume}")), tmp_path / "results")
    for one, other in zip(weights(result.checkpoint), weights(again.checkpoint), strict=True):
        np.testing.assert_array_equal(one, other)
    assert load_model(again.checkpoint)[1].step == load_model(result.checkpoint)[1].step == 12


def test_a_sealed_checkpoint_opens_with_its_key_only(tmp_path):
    spec = toy_spec(tmp_path, images=2, validation=0, training="num_epochs: 1")
    result = train(training_run(spec), tmp_path / "results", key="secret")
    assert result.checkpoint.suffix == ".tlt"
    assert load_model(result.checkpoint, "secret")[1].epoch == 1
    with pytest.raises(ModelError, match="key"):
        load_model(result.checkpoint, "other")


@needs_bfloat16
def test_mixed_precision_trains_and_leaves_a_float32_model(tmp_path):
    spec = toy_spec(tmp_path, images=2, validation=0, training="num_epochs: 1")
    model, record = load_model(train(training_run(spec), tmp_path / "results", amp=True).checkpoint)
    assert math.isfinite(record.metrics["loss"])
    assert {layer.compute_dtype for part in (model.features, model.roi_head) for layer in part.layers} == {
        "float32"
    }


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_earlier_checkpoint(finished, tmp_path):
    folder, _, _ = finished
    first = tmp_path / "frcnn_resnet_10.epoch_1.keras"
    shutil.copyfile(folder / "results" / first.name, first)
    explode = "lambda_rpn_class: 3.4e38 lambda_cls_class: 3.4e38"
    spec = toy_spec(tmp_path, validation=0, training=f'{THREE_EPOCHS} {explode} resume_from_model: "{first}"')
    with pytest.raises(RunError, match=r"epoch 2 step \d .*Lower learning_rate"):
        train(training_run(spec), tmp_path / "results")
    assert list((tmp_path / "results").glob("*.keras")) == []
    assert load_model(first)[1].epoch == 1


def test_nan_guard_names_the_loss_and_the_step():
    guard = NanGuard(steps=10)
    guard.on_epoch_begin(2)
    guard.on_train_batch_end(3, {"loss": 1.0})
    with pytest.raises(RunError, match=r"rpn_out_class_loss is nan at epoch 3 step 5 \(step 25 in all\)"):
        guard.on_train_batch_end(4, {"loss": 1.0, "rpn_out_class_loss": float("nan")})


def test_only_the_last_checkpoints_are_kept_when_the_spec_says_so(tmp_path):
    spec = toy_spec(tmp_path, images=2, training="num_epochs: 3 keep_checkpoints: 1 save_best: false")
    train(training_run(spec), tmp_path / "results")
    assert [path.name for path in (tmp_path / "results").glob("*.keras")] == ["frcnn_resnet_10.epoch_3.keras"]


def test_a_training_shorter_than_the_checkpoint_interval_saves_its_last_epoch(tmp_path):
    spec = toy_spec(tmp_path, images=2, validation=0, training="num_epochs: 2 checkpoint_interval: 8")
    result = train(training_run(spec), tmp_path / "results")
    assert [path.name for path in (tmp_path / "results").glob("*.keras")] == ["frcnn_resnet_10.epoch_2.keras"]
    assert load_model(result.checkpoint)[1].epoch == 2


def test_resuming_a_missing_file_is_a_usage_error(tmp_path):
    spec = toy_spec(tmp_path, training='resume_from_model: "nowhere/frcnn_resnet_10.epoch_1.keras"')
    with pytest.raises(UsageError, match=r"resume_from_model: nowhere/.*no such file"):
        train(training_run(spec), tmp_path / "results")


def test_resuming_a_finished_training_says_what_to_change(finished, tmp_path):
    _, _, result = finished
    spec = toy_spec(tmp_path, training=f'{THREE_EPOCHS} resume_from_model: "{result.checkpoint}"')
    with pytest.raises(RunError, match=r"Raise training_config\.num_epochs"):
        train(training_run(spec), tmp_path / "results")


def test_resuming_another_architecture_names_both(finished, tmp_path):
    _, _, result = finished
    spec = toy_spec(tmp_path, training=f'{THREE_EPOCHS} resume_from_model: "{result.checkpoint}"')
    path = Path(spec.source)
    path.write_text(path.read_text().replace("resnet:10", "resnet:18"))
    with pytest.raises(ModelError, match=r"is a resnet:10 model, .* is resnet:18"):
        train(training_run(load_experiment(path)), tmp_path / "results")


def test_retraining_starts_from_the_weights_of_the_file_at_epoch_one(finished, tmp_path):
    _, _, result = finished
    still = "learning_rate { step { base_lr: 0.0 gamma: 1.0 step_size: 30 } } num_epochs: 1"
    fields = f'{THREE_EPOCHS} {still} retrain_pruned_model: "{result.checkpoint}"'
    spec = toy_spec(tmp_path, images=2, validation=0, training=fields)
    model, record = load_model(train(training_run(spec), tmp_path / "results").checkpoint)
    before, _ = load_model(result.checkpoint)
    assert record.epoch == 1
    for new, old in zip(model.trainable_weights, before.trainable_weights, strict=True):
        np.testing.assert_array_equal(new.numpy(), old.numpy())


def test_the_step_is_traced_once(tmp_path, monkeypatch):
    traces = []
    original = FasterRCNN.train_step
    monkeypatch.setattr(
        FasterRCNN, "train_step", lambda self, batch: traces.append(1) or original(self, batch)
    )
    spec = toy_spec(tmp_path, images=4, validation=0, training="num_epochs: 2")
    train(training_run(spec), tmp_path / "results")
    assert len(traces) == 1


def test_early_stopping_ends_a_run_whose_loss_does_not_fall(tmp_path):
    patience = "early_stopping { monitor: 'loss' min_delta: 1000 patience: 1 }"
    spec = toy_spec(tmp_path, images=2, validation=0, training=f"num_epochs: 4 {patience}")
    train(training_run(spec), tmp_path / "results")
    epochs = sorted(path.name for path in (tmp_path / "results").glob("*.epoch_*.keras"))
    assert epochs == ["frcnn_resnet_10.epoch_1.keras", "frcnn_resnet_10.epoch_2.keras"]


def test_training_starts_from_pretrained_weights_of_the_same_names(finished, tmp_path):
    _, _, result = finished
    still = "learning_rate { step { base_lr: 0.0 gamma: 1.0 step_size: 30 } } num_epochs: 1"
    fields = f'{THREE_EPOCHS} {still} pretrained_weights: "{result.checkpoint}"'
    spec = toy_spec(tmp_path, images=2, validation=0, training=fields)
    model, _ = load_model(train(training_run(spec), tmp_path / "results").checkpoint)
    before, _ = load_model(result.checkpoint)
    for new, old in zip(model.trainable_weights, before.trainable_weights, strict=True):
        np.testing.assert_array_equal(new.numpy(), old.numpy())


def test_records_that_are_also_validated_on_are_remarked(tmp_path, caplog):
    spec = toy_spec(tmp_path, images=2).updated(
        {"dataset_config.validation_data_source.tfrecords_path": f"{tmp_path}/toy-fold-000*"}
    )
    assert opened_run._validation(training_run(spec), RankInfo(), False).size == 2
    assert "1 record files are used for training and for validation, such as" in caplog.text


class Replace(keras.callbacks.Callback):
    """Converts other images into the records that a training reads, during its second epoch."""

    def __init__(self, folder, images):
        super().__init__()
        self._folder, self._images = folder, images

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            toy_spec(self._folder, images=self._images, validation=0)


@pytest.mark.parametrize("images", [8, 1], ids=["other images", "fewer images"])
def test_a_training_whose_records_are_replaced_ends_before_it_saves_the_epoch(tmp_path, images):
    spec = toy_spec(tmp_path, validation=0, training=THREE_EPOCHS)
    with pytest.raises(DataError, match="toy-fold-001-of-002 was replaced while it was in use"):
        train(training_run(spec), tmp_path / "results", callbacks=[Replace(tmp_path, images)])
    assert [path.name for path in (tmp_path / "results").glob("*.epoch_*")] == [
        "frcnn_resnet_10.epoch_1.keras"
    ]
    resumed = train(training_run(load_experiment(tmp_path / "spec.txt")), tmp_path / "results")
    assert resumed.epochs == 1  # the spec of the second conversion


def test_a_training_whose_records_are_removed_says_so(tmp_path):
    spec = toy_spec(tmp_path, images=2, validation=0, training=THREE_EPOCHS)

    class Remove(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            (tmp_path / "toy-fold-001-of-002").unlink(missing_ok=True)

    with pytest.raises(DataError, match="toy-fold-001-of-002 was removed while it was in use"):
        train(training_run(spec), tmp_path / "results", callbacks=[Remove()])
