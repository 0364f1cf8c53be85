"""Quantization-aware training for real, on a data set of a few squares: starts, resumes and refusals."""

import math
import shutil

import numpy as np
import pytest

from frcnn.errors import ModelError
from frcnn.model.build import build
from frcnn.model.files.checkpoint import load_checkpoint, load_model, save_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.model.qat.insert import from_qat, is_qat
from frcnn.model.qat.layers import QDQ
from frcnn.pruning.prune import prune
from frcnn.pruning.settings import PruneSettings
from frcnn.settings.model import model_settings
from frcnn.settings.training import training_run
from frcnn.training.pretrained.load import load_pretrained
from frcnn.training.trainer import train
from tests.support.bfloat16 import needs_bfloat16
from tests.support.toy_training import toy_spec

STEADY = "learning_rate { step { base_lr: 0.001 gamma: 1.0 step_size: 30 } }"
STILL = "learning_rate { step { base_lr: 0.0 gamma: 1.0 step_size: 30 } }"
ADAM = "batch_size_per_gpu: 2 optimizer { adam { } }"
QAT = f"enable_qat: true num_epochs: 2 {ADAM} {STEADY}"


@pytest.fixture(scope="module")
def floating(tmp_path_factory):
    """A checkpoint of an ordinary training."""
    folder = tmp_path_factory.mktemp("float")
    return train(
        training_run(toy_spec(folder, images=4, validation=0, training=f"num_epochs: 1 {ADAM} {STEADY}")),
        folder / "results",
    ).checkpoint


@pytest.fixture(scope="module")
def finished(tmp_path_factory, floating):
    """The folder of a quantization-aware training from the float checkpoint, and its result."""
    folder = tmp_path_factory.mktemp("qat")
    spec = toy_spec(folder, images=4, training=f'{QAT} retrain_pruned_model: "{floating}"')
    return folder / "results", train(training_run(spec), folder / "results")


def weights(path):
    model, _, state = load_checkpoint(path)
    return [*model.get_weights(), *(array for group in state.groups.values() for array in group)]


def layers_of(model):
    return [*model.features.layers, *model.roi_head.layers]


def test_a_float_checkpoint_becomes_a_qat_model_with_learned_ranges(finished):
    _, result = finished
    model, record = load_model(result.checkpoint)
    assert record.epoch == 2
    assert math.isfinite(result.loss)
    qdq = [layer for layer in layers_of(model) if isinstance(layer, QDQ)]
    assert {float(layer.updates) for layer in qdq} == {4.0}
    factors = [float(layer.scaling_factor) for layer in qdq]
    assert all(0.0 < factor != 6.0 for factor in factors)


def test_a_resumed_qat_training_ends_with_the_bytes_of_an_uninterrupted_one(finished, tmp_path):
    folder, result = finished
    first = tmp_path / "frcnn_resnet_10.epoch_1.keras"
    shutil.copyfile(folder / first.name, first)
    again = train(
        training_run(toy_spec(tmp_path, images=4, training=f'{QAT} resume_from_model: "{first}"')),
        tmp_path / "results",
    )
    for one, other in zip(weights(result.checkpoint), weights(again.checkpoint), strict=True):
        np.testing.assert_array_equal(one, other)


def test_pretrained_weights_of_a_float_file_are_what_a_qat_training_starts_from(floating, tmp_path):
    start = f'{STILL} num_epochs: 1 pretrained_weights: "{floating}"'
    spec = toy_spec(tmp_path, images=2, validation=0, training=f"{QAT} {start}")
    model, _ = load_model(train(training_run(spec), tmp_path / "results").checkpoint)
    assert is_qat(model)
    before, _ = load_model(floating)
    for new, old in zip(model.trainable_weights, before.trainable_weights, strict=True):
        np.testing.assert_array_equal(new.numpy(), old.numpy())


def test_a_float_model_can_take_over_the_weights_of_a_qat_file(finished, tmp_path):
    _, result = finished
    model = build(model_settings(toy_spec(tmp_path, images=1)))
    statuses = load_pretrained(model, result.checkpoint)
    assert {each.status for each in statuses} == {"Yes", "None"}
    trained, _ = load_model(result.checkpoint)
    for new, old in zip(model.trainable_weights, trained.trainable_weights, strict=True):
        np.testing.assert_array_equal(new.numpy(), old.numpy())


@needs_bfloat16
def test_a_pruned_qat_model_is_retrained_and_pruned_again(finished, tmp_path):
    _, result = finished
    model, record = load_model(result.checkpoint)
    pruned = prune(model, PruneSettings(pruning_threshold=0.9)).model
    save_model(pruned, tmp_path / "pruned.keras", TrainingRecord(record.arch, record.class_names))
    retrain = f'retrain_pruned_model: "{tmp_path}/pruned.keras" qat_per_channel_weights: true'
    spec = toy_spec(tmp_path, images=2, training=f"{QAT} num_epochs: 1 {retrain}")
    retrained, _ = load_model(train(training_run(spec), tmp_path / "results", amp=True).checkpoint)
    assert retrained.count_params() == pruned.count_params() < model.count_params()
    assert {layer.per_channel for layer in layers_of(retrained) if hasattr(layer, "per_channel")} == {True}
    # Ranges go on from where they were.
    assert {float(layer.updates) for layer in layers_of(retrained) if isinstance(layer, QDQ)} == {5.0}
    again = prune(retrained, PruneSettings(pruning_threshold=0.97, min_num_filters=8)).model
    assert again.count_params() < retrained.count_params()
    assert from_qat(again).tensor_scales.keys() == from_qat(model).tensor_scales.keys()


@pytest.mark.parametrize("field", ["retrain_pruned_model", "resume_from_model"])
def test_a_qat_model_is_not_trained_on_as_a_float_one(finished, tmp_path, field):
    _, result = finished
    spec = toy_spec(
        tmp_path, training=f'{QAT} num_epochs: 9 enable_qat: false {field}: "{result.checkpoint}"'
    )
    with pytest.raises(
        ModelError, match=r"a model of quantization-aware training, .*enable_qat: false\. Set it"
    ):
        train(training_run(spec), tmp_path / "results")


def test_a_float_training_is_not_resumed_as_a_qat_one(floating, tmp_path):
    spec = toy_spec(tmp_path, training=f'{QAT} num_epochs: 9 resume_from_model: "{floating}"')
    with pytest.raises(ModelError, match=r"a float model, .*enable_qat: true\. .* retrain_pruned_model"):
        train(training_run(spec), tmp_path / "results")
