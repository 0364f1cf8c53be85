"""Evaluation sees the network that training sees, however small the set, or a remark says why not."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from frcnn.data.input.dataset import training_dataset, validation_dataset
from frcnn.distributed.world import join
from frcnn.evaluation.evaluator import evaluate
from frcnn.model.build import build
from frcnn.model.files.checkpoint import load_model
from frcnn.model.keras_detector import KerasDetector
from frcnn.model.statistics import following_momentum
from frcnn.settings.data import data_settings
from frcnn.settings.evaluation import evaluation_settings
from frcnn.settings.model import detection_settings, model_settings
from frcnn.settings.training import training_run
from frcnn.training.compile import prepare
from frcnn.training.statistics_warnings import remark_on_statistics
from frcnn.training.trainer import set_up, train
from tests.support.exact_statistics import take_exact_statistics
from tests.support.toy_training import filled, filled_or_empty, flat, scene, toy_spec

ADAM = "optimizer { adam { } } learning_rate { step { base_lr: 0.001 gamma: 1.0 step_size: 30 } }"
FALLING = """
batch_size_per_gpu: 4 gt_as_roi: true optimizer { adam { } }
learning_rate { soft_start { base_lr: 0.001 start_lr: 0.001 annealing_points: 0.6 annealing_divider: 10.0 } }
"""


def filled_spec(folder: Path, model: str, validation: int = 4, picture=filled_or_empty):
    """A spec for pictures that an object fills; `model` is text of `model_config`."""
    fields = f"{FALLING} }} model_config {{ {model} anchor_box_config {{ scale: 128.0 }}"
    return toy_spec(folder, images=16, validation=validation, training=fields, picture=picture)


def trained(spec, epochs: int):
    """A model trained on the spec's images, and the training batches of four more epochs."""
    set_up(spec.random_seed)
    model, data = build(model_settings(spec)), training_dataset(data_settings(spec))
    prepare(model, training_run(spec), epochs * data.steps_per_epoch, join().place, amp=False)
    model.fit(data.batches, steps_per_epoch=data.steps_per_epoch, epochs=epochs, shuffle=False, verbose=0)
    return model, data.batches.take(4 * data.steps_per_epoch)


def mean_ap(model, spec) -> float:
    detector = KerasDetector(model, detection_settings(spec.evaluation_config))
    return evaluate(
        detector, validation_dataset(data_settings(spec), batch_size=4), evaluation_settings(spec)
    ).mean_ap


def test_the_first_batch_is_taken_whole_and_later_ones_weigh_less_the_more_steps_are_done():
    momenta = [float(following_momentum(tf.constant(step, tf.int64), 0.05)) for step in range(0, 4000, 100)]
    assert momenta[0] == 0.0
    assert (np.diff(momenta) > 0).all() and 0.99 < momenta[-1] < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["resnet:10", "mobilenet_v1", "mobilenet_v2"])
def test_right_after_training_on_few_images_evaluation_is_as_with_exact_statistics(tmp_path, arch):
    # 96 steps: with a momentum of 0.99, a third of the statistics would be those of no training at all, and
    # mAP would be 0.00 to 0.47 with both MobileNets. No picture is empty: with such ones, batches differ so
    # much that mAP after so few steps depends on the CPU's rounding.
    spec = filled_spec(tmp_path, f'arch: "{arch}"', validation=8, picture=filled)
    model, batches = trained(spec, epochs=24)
    followed = mean_ap(model, spec)
    take_exact_statistics(model, batches)
    assert followed > 0.9
    assert followed == pytest.approx(mean_ap(model, spec), abs=0.01)


@pytest.mark.slow
def test_an_object_that_fills_the_picture_is_proposed_and_detected(tmp_path):
    spec = filled_spec(tmp_path, "")
    model, _ = trained(spec, epochs=16)
    detector = KerasDetector(model, detection_settings(spec.evaluation_config))
    (batch,) = validation_dataset(data_settings(spec), batch_size=4).batches.as_numpy_iterator()
    found = detector(batch["images"])
    for image in np.flatnonzero(batch["valid"].any(axis=1)):
        (truth,) = batch["boxes"][image][batch["valid"][image]]
        assert overlaps(truth, found.rois[image]).max() > 0.7
        assert found.count[image] and overlaps(truth, found.boxes[image, :1]).max() > 0.7


def overlaps(truth, boxes) -> np.ndarray:
    low, high = np.maximum(truth[:2], boxes[:, :2]), np.minimum(truth[2:], boxes[:, 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(truth[2:] - truth[:2])
    return shared / (areas - shared)


@pytest.mark.parametrize(
    ("images", "batch", "picture"),
    [
        pytest.param(1, 1, scene, id="one", marks=pytest.mark.slow),
        pytest.param(3, 4, scene, id="fewer than a batch", marks=pytest.mark.slow),
        pytest.param(10, 4, scene, id="ten", marks=pytest.mark.slow),
        pytest.param(2, 2, flat, id="flat"),
    ],
)
def test_sets_too_small_for_statistics_train_to_finite_numbers_with_a_remark(
    tmp_path, caplog, images, batch, picture
):
    fields = f"batch_size_per_gpu: {batch} {ADAM}"
    spec = toy_spec(tmp_path, images=images, validation=0, training=fields, picture=picture)
    result = train(training_run(spec), tmp_path / "results")
    assert np.isfinite(result.loss)
    assert f"{images} training images are too few" in caplog.text
    assert all(np.isfinite(array).all() for array in load_model(result.checkpoint)[0].get_weights())


@pytest.mark.parametrize(
    ("fields", "images", "batch", "remark"),
    [
        ("", 100, 1, "batch_size_per_gpu: 1"),
        ("", 100, 4, ""),
        ("freeze_bn: true", 1, 1, ""),
        ('arch: "vgg16"', 1, 1, ""),
    ],
)
def test_the_remark_is_made_only_where_statistics_are_learned(
    tmp_path, caplog, fields, images, batch, remark
):
    model = build(model_settings(toy_spec(tmp_path, training=f"}} model_config {{ {fields}")))
    remark_on_statistics(model, images, batch)
    assert remark in caplog.text if remark else not caplog.text
