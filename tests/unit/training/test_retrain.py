"""Changes that a spec makes to a model from a file, those it cannot make, and training from there."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from frcnn.errors import ModelError
from frcnn.model.build import build
from frcnn.model.faster_rcnn import LOSS_NAMES
from frcnn.model.files.checkpoint import load_checkpoint, load_model, save_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.model.layers import BatchNormalization
from frcnn.pruning.prune import prune
from frcnn.pruning.settings import PruneSettings
from frcnn.settings.model import model_settings, training_settings
from frcnn.settings.optimizer import optimizer_settings
from frcnn.settings.training import training_run
from frcnn.training.optimizers import optimizer
from frcnn.training.retrain import for_retraining
from frcnn.training.trainer import train
from tests.support.toy_training import toy_spec

RETRAIN = """
num_epochs: 2 batch_size_per_gpu: 2 optimizer { adam { } }
learning_rate { step { base_lr: 0.001 gamma: 1.0 step_size: 30 } } regularizer { type: NO_REG weight: 0 }
"""


@pytest.fixture(scope="module")
def pruned(tmp_path_factory):
    """A pruned detector in a file, and a spec that it was made with."""
    folder = tmp_path_factory.mktemp("pruned")
    spec = toy_spec(folder, images=4, training="regularizer { type: L2 weight: 0.01 }")
    model = prune(build(model_settings(spec)), PruneSettings(pruning_threshold=0.98)).model
    path = folder / "pruned.keras"
    save_model(model, path, TrainingRecord("resnet:10", model.geometry.class_names))
    return path, spec


def changed(spec, *, model=None, training=None):
    return dataclasses.replace(
        spec,
        model_config=dataclasses.replace(spec.model_config, **(model or {})),
        training_config=dataclasses.replace(spec.training_config, **(training or {})),
    )


def retrained(pruned, **changes):
    path, spec = pruned
    wanted = changed(spec, **changes)
    return for_retraining(load_model(path)[0], training_run(wanted), path), wanted


@pytest.mark.parametrize(("kind", "weight"), [("NO_REG", 0.0), ("L1", 0.01), ("L2", 0.01)])
def test_the_specs_regularizer_counts_for_all_kernels_the_heads_included(pruned, kind, weight):
    _path, spec = pruned
    config = type(spec.training_config.regularizer)
    kinds = type(spec.training_config.regularizer.type)
    model, spec = retrained(pruned, training={"regularizer": config(type=kinds[kind], weight=weight)})
    kernels = [
        np.asarray(layer.kernel)
        for part in (model.features, model.roi_head)
        for layer in part.layers
        if hasattr(layer, "kernel")
    ]
    power = {"NO_REG": 0, "L1": 1, "L2": 2}[kind]
    expected = weight * sum(float((np.abs(each.astype(np.float64)) ** power).sum()) for each in kernels)
    model.training_settings = training_settings(spec)
    model.compile(
        optimizer=optimizer(optimizer_settings(spec.training_config), 10), jit_compile=False, run_eagerly=True
    )
    model.optimizer.build(model.trainable_variables)
    losses = {name: float(value) for name, value in model.train_step(a_batch()).items()}
    parts = sum(losses[name] for name in LOSS_NAMES)
    assert losses["loss"] - parts == pytest.approx(expected, rel=1e-4, abs=1e-4)


def a_batch():
    images = np.random.default_rng(0).normal(size=(1, 128, 160, 3)).astype(np.float32)
    return {
        "images": tf.constant(images),
        "boxes": tf.constant([[[20.0, 30.0, 70.0, 90.0]]]),
        "classes": tf.zeros((1, 1), tf.int32),
        "valid": tf.ones((1, 1), tf.bool),
    }


def test_the_specs_proposals_and_losses_count(pruned):
    _, spec = retrained(
        pruned, training={"rpn_nms_overlap_threshold": 0.55, "rpn_nms_max_boxes": 17, "lambda_cls_regr": 3.0}
    )
    settings = training_settings(spec)
    assert (settings.proposals.iou_threshold, settings.proposals.post_nms) == (0.55, 17)
    assert settings.lambda_cls_regr == 3.0


def test_anchors_and_coding_become_the_specs_and_are_named(pruned, caplog):
    _path, spec = pruned
    anchors = dataclasses.replace(
        spec.model_config.anchor_box_config,
        scale=tuple(2 * each for each in spec.model_config.anchor_box_config.scale),
    )
    std = {**spec.training_config.classifier_regr_std, "x": 5.0}
    model, _wanted = retrained(
        pruned, model={"anchor_box_config": anchors}, training={"classifier_regr_std": std}
    )
    assert model.geometry.scales == anchors.scale
    assert model.geometry.code_weights == (5.0, 10.0, 5.0, 5.0)
    assert f"scales were {tuple(spec.model_config.anchor_box_config.scale)}" in caplog.text
    assert "code_weights were (10.0, 10.0, 5.0, 5.0), the spec says (5.0, 10.0, 5.0, 5.0)" in caplog.text
    assert "ratios" not in caplog.text


def test_the_position_of_pooled_rois_becomes_the_specs_and_is_named(pruned, caplog):
    _path, spec = pruned
    pool = dataclasses.replace(spec.model_config.roi_pooling_config, positions_by_stride=True)
    model, _wanted = retrained(pruned, model={"roi_pooling_config": pool})
    assert model.geometry.positions_by_stride
    assert "positions_by_stride were False, the spec says True" in caplog.text


@pytest.mark.parametrize("freeze", [True, False])
def test_freeze_bn_is_applied(pruned, freeze):
    model, _ = retrained(pruned, model={"freeze_bn": freeze})
    norms = [
        layer
        for part in (model.features, model.roi_head)
        for layer in part.layers
        if isinstance(layer, BatchNormalization)
    ]
    assert {layer.frozen for layer in norms} == {freeze}


def test_what_is_part_of_the_graph_cannot_be_changed(pruned):
    _path, spec = pruned
    config = spec.model_config
    before = len(config.anchor_box_config.scale) * len(config.anchor_box_config.ratio)
    anchors = dataclasses.replace(
        config.anchor_box_config, scale=(8.0, 16.0, 32.0, 64.0, 128.0), ratio=(1.0,)
    )
    with pytest.raises(ModelError, match=rf"has {before} anchors per cell, the spec 5\. "):
        retrained(pruned, model={"anchor_box_config": anchors})
    pool = dataclasses.replace(config.roi_pooling_config, pool_size_2x=True)
    with pytest.raises(ModelError, match=r"has 7 cells per side of a pooled RoI, the spec 14\. "):
        retrained(pruned, model={"roi_pooling_config": pool})


def test_a_retraining_resumes_exactly_and_its_model_is_pruned_again(pruned, tmp_path):
    path, _ = pruned
    fields = f'{RETRAIN} retrain_pruned_model: "{path}"'
    spec = toy_spec(tmp_path, images=4, validation=0, training=fields)
    result = train(training_run(spec), tmp_path / "whole")
    first = tmp_path / "frcnn_resnet_10.epoch_1.keras"
    shutil.copyfile(tmp_path / "whole" / first.name, first)
    fields = f'{RETRAIN} resume_from_model: "{first}"'
    resume = toy_spec(tmp_path, images=4, validation=0, training=fields)
    again = train(training_run(resume), tmp_path / "resumed")
    for one, other in zip(weights(result.checkpoint), weights(again.checkpoint), strict=True):
        np.testing.assert_array_equal(one, other)
    model, record = load_model(result.checkpoint)
    assert (record.epoch, model.count_params()) == (2, load_model(path)[0].count_params())
    narrower = prune(model, PruneSettings(pruning_threshold=0.99, min_num_filters=8)).model
    assert narrower.count_params() < model.count_params()


def weights(path: Path) -> list[np.ndarray]:
    model, _, state = load_checkpoint(path)
    return [*model.get_weights(), *(array for group in state.groups.values() for array in group)]
