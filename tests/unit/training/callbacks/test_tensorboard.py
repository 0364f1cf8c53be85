"""TensorBoard files of a short training, read back."""

import dataclasses
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from frcnn.data.input.dataset import validation_dataset
from frcnn.distributed.world import OneProcess
from frcnn.model.build import build
from frcnn.model.keras_detector import KerasDetector
from frcnn.settings.data import data_settings
from frcnn.settings.model import detection_settings, model_settings
from frcnn.settings.training import training_run, validation_settings
from frcnn.training.callbacks.tensorboard import DetectedImages, TensorBoard, histograms
from frcnn.training.callbacks.validation import Validation
from tests.support.toy_training import toy_spec
from tests.unit.model.test_dynamic_shape import SETTINGS, patch_model


class ClassPrecision(NamedTuple):
    name: str
    ap: float | None


class Reported:
    """Result of a validation, as far as TensorBoard shows it."""

    def __init__(self, *classes: ClassPrecision) -> None:
        self.results = (self,)
        self.classes = classes


def run(folder: Path, spec, first: int, last: int) -> EventAccumulator:
    """Calls the callback like a training of epochs `first` to `last` (excluded), with two steps each."""
    model = build(model_settings(spec))
    model.compile(optimizer="sgd", jit_compile=False)
    report = Reported(ClassPrecision("car", 0.75), ClassPrecision("person", None))
    validator = Validation(
        validation_settings(spec), 1, validation_dataset(data_settings(spec), batch_size=1), OneProcess()
    )
    validator.report = report
    validator.detector = KerasDetector(model, detection_settings(spec.evaluation_config))
    callback = TensorBoard(training_run(spec), folder, steps=2, validator=validator)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in range(first, last):
        callback.on_epoch_begin(epoch)
        for batch in range(2):
            callback.on_train_batch_end(batch, {"loss": 1.0})
        callback.on_epoch_end(epoch, {"loss": 0.5, "mAP": math.nan})
    callback.on_train_end()
    return read(folder)


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder / "logs"), size_guidance={"tensors": 0})
    return events.Reload()


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    extra = "visualizer { enabled: true num_images: 2 } enable_augmentation: true"
    return toy_spec(tmp_path_factory.mktemp("toy"), images=2, training=extra)


def test_a_resume_adds_scalars_histograms_and_images(spec, tmp_path):
    run(tmp_path, spec, 0, 1)
    events = run(tmp_path, spec, 1, 2)
    tags = set(events.Tags()["tensors"])
    assert {"batch/loss", "batch/learning_rate", "epoch/loss", "AP/car"} <= tags
    assert {"kernel/conv1", "kernel/dense_class_td", "bias/dense_class_td", "beta/block_4a_bn_1"} <= tags
    assert [event.step for event in events.Tensors("batch/loss")] == [1, 2, 3, 4]
    for tag in ("epoch/loss", "kernel/conv1", "augmented/0", "augmented/1", "validation/0", "validation/1"):
        assert [event.step for event in events.Tensors(tag)] == [1, 2], tag
    assert not tags & {"augmented/2", "validation/2", "AP/person", "epoch/mAP"}


def test_histograms_cover_every_weight_of_body_and_head(spec):
    model = build(model_settings(spec))
    found = histograms(model)
    assert sum(int(tf.size(value)) for value in found.values()) == model.count_params()


def test_images_show_the_boxes(spec, tmp_path):
    callback = TensorBoard(training_run(spec), tmp_path, steps=2)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_train_end()
    width, height, encoded = tf.make_ndarray(read(tmp_path).Tensors("augmented/0")[0].tensor_proto)
    picture = tf.io.decode_png(encoded).numpy()
    assert (int(height), int(width)) == picture.shape[:2] == (128, 160)
    (sample, _) = callback._images.of_epoch(0)
    y1, x1, _, x2 = sample.boxes[0].astype(int)
    changed = np.abs(picture.astype(int) - sample.pixels.astype(int)).max(-1) > 20
    assert changed[y1, x1 : x2 + 1].mean() > 0.9


def test_nothing_is_shown_that_is_found_in_padding(tmp_path):
    """Images of two sizes in one batch look as each does alone, where there is nothing to pad."""
    pictures = {}
    for size in (1, 2):
        evaluation = f"{SETTINGS} batch_size: {size}"
        folder = tmp_path / str(size)
        folder.mkdir()
        spec = toy_spec(folder, images=2, evaluation=evaluation, sizes=[(128, 192), (208, 130)])
        inference = dataclasses.replace(spec.inference_config, bbox_visualize_threshold=0.3)
        spec = dataclasses.replace(spec, inference_config=inference)
        validator = Validation(
            validation_settings(spec),
            1,
            validation_dataset(data_settings(spec), batch_size=size),
            OneProcess(),
        )
        validator.detector = KerasDetector(patch_model(spec), detection_settings(spec.evaluation_config))
        pictures[size] = DetectedImages(training_run(spec)).pictures(validator)
    shapes = [picture.shape for picture in pictures[2]]
    assert shapes == [picture.shape for picture in pictures[1]] and len(set(shapes)) == 2
    for alone, together in zip(pictures[1], pictures[2], strict=True):
        assert (alone[..., 1] > 100).any()  # something is drawn
        assert (alone != together).any(axis=-1).mean() < 0.01
