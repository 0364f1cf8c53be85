"""Every arch of the spec lives a whole life: trained, saved, loaded, pruned, trained again, loaded again."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from frcnn.model.build import build
from frcnn.model.files.checkpoint import load_model, save_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.model.keras_detector import KerasDetector
from frcnn.pruning.prune import prune
from frcnn.pruning.settings import PruneSettings
from frcnn.settings.model import detection_settings, model_settings, training_settings
from frcnn.settings.optimizer import optimizer_settings
from frcnn.spec.archs import ARCHS
from frcnn.training.optimizers import optimizer
from tests.support.toy_training import object_batch, toy_spec


def spec_of(folder, arch):
    spec = toy_spec(folder, images=1, validation=1)
    model = dataclasses.replace(spec.model_config, arch=arch)
    return dataclasses.replace(spec, model_config=model)


def train_one_step(model, spec, batch):
    """Returns the loss; eagerly, since tracing 22 graphs takes longer than all else here."""
    model.training_settings = training_settings(spec)
    model.compile(
        optimizer=optimizer(optimizer_settings(spec.training_config), 10), jit_compile=False, run_eagerly=True
    )
    model.optimizer.build(model.trainable_variables)
    return float(model.train_step(batch)["loss"])


def make_uneven(model):
    """Filters of different size, as training makes them: fresh ones are all of much the same."""
    random = np.random.default_rng(0)
    for part in (model.features, model.roi_head):
        for layer in part.layers:
            if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
                layer.kernel.assign(layer.kernel * random.uniform(0.1, 1.0, layer.kernel.shape[-1]))


def answers(model, images):
    """Returns the outputs of both networks for an image and a fixed crop."""
    rpn = model(images, training=False)
    crops = np.random.default_rng(1).normal(size=(2, *model.roi_head.inputs[0].shape[1:]))
    return [*map(np.asarray, rpn), *map(np.asarray, model.roi_head(crops.astype(np.float32)))]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("arch", ARCHS)
def test_an_arch_trains_saves_prunes_and_retrains(tmp_path, arch):
    spec = spec_of(tmp_path, arch)
    batch = {name: tf.constant(value) for name, value in object_batch().items()}
    model = build(model_settings(spec))
    make_uneven(model)
    record = TrainingRecord(arch, model.geometry.class_names)
    assert np.isfinite(train_one_step(model, spec, batch))
    save_model(model, tmp_path / "trained.keras", record)
    loaded, _ = load_model(tmp_path / "trained.keras")

    result = prune(loaded, PruneSettings(pruning_threshold=0.5, min_num_filters=8))
    assert result.report.after.params < result.report.before.params
    assert np.isfinite(train_one_step(result.model, spec, batch))
    save_model(result.model, tmp_path / "retrained.keras", record)
    again, _ = load_model(tmp_path / "retrained.keras")
    for before, after in zip(
        answers(result.model, batch["images"]), answers(again, batch["images"]), strict=True
    ):
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)
    found = KerasDetector(again, detection_settings(spec.inference_config))(batch["images"].numpy())
    assert np.isfinite(found.boxes).all()
