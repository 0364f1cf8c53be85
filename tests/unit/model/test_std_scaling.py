"""`std_scaling` weighs the RPN's box loss and nothing else: a perfect RPN proposes perfectly at any value."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from frcnn.model.faster_rcnn import FasterRCNN, RpnOutput
from frcnn.model.settings import Geometry
from frcnn.settings.model import geometry_of, training_settings
from frcnn.spec.load import load_experiment
from tests.support import reference_boxes as reference
from tests.support.task_spec import write_spec

HEIGHT, WIDTH, CELLS = 128, 160, (8, 10)
OBJECTS = np.float32([[20, 30, 52, 60], [70, 90, 110, 125], [40, 100, 66, 140]])


@pytest.fixture
def spec(tmp_path):
    return load_experiment(write_spec(tmp_path / "spec.txt"))


def with_scaling(spec, value):
    training = dataclasses.replace(spec.training_config, std_scaling=value, gt_as_roi=True)
    return dataclasses.replace(spec, training_config=training)


class FixedRpn(FasterRCNN):
    """A detector whose RPN answers the same whatever it sees."""

    answer: RpnOutput

    def call(self, images, training=False):
        return self.answer


def detector(spec, codes) -> FixedRpn:
    image, crops = keras.Input((HEIGHT, WIDTH, 3)), keras.Input((7, 7, 4))
    cells = keras.layers.Conv2D(4, 1)(keras.layers.AveragePooling2D(16)(image))
    vector = keras.layers.Flatten()(crops)
    head = [keras.layers.Dense(3, activation="softmax")(vector), keras.layers.Dense(8)(vector)]
    model = FixedRpn(keras.Model(image, [cells, cells, cells]), keras.Model(crops, head), geometry_of(spec))
    model.training_settings = training_settings(spec)
    model.compile(optimizer="sgd")
    scores = np.zeros((1, *CELLS, 1), np.float32)
    scores.reshape(-1)[best_anchors()] = [0.9, 0.8, 0.7]
    model.answer = RpnOutput(tf.zeros([1, *CELLS, 4]), tf.constant(scores), tf.constant(codes, tf.float32))
    return model


def anchors():
    return reference.anchor_grid(*CELLS, [32.0], [1.0])


def best_anchors():
    return reference.iou_matrix(anchors(), OBJECTS, inclusive=True).argmax(axis=0)


def perfect_codes():
    """Codes that move each object's nearest anchor onto it, by the reference's formula."""
    codes = np.zeros((len(anchors()), 4))
    for box, index in zip(OBJECTS, best_anchors(), strict=True):
        codes[index] = reference.encode(box, anchors()[index], inclusive=False)
    return codes.reshape(1, *CELLS, 4)


def batch():
    return {
        "images": tf.zeros([1, HEIGHT, WIDTH, 3]),
        "boxes": tf.constant(OBJECTS[None]),
        "classes": tf.constant([[0, 1, 0]]),
        "valid": tf.constant([[True] * 3]),
    }


@pytest.mark.parametrize("scaling", [1.0, 2.0, 4.0])
def test_codes_without_loss_decode_to_the_objects_at_any_scaling(spec, scaling):
    model = detector(with_scaling(spec, scaling), perfect_codes())
    size = model.image_size(tf.zeros([1, HEIGHT, WIDTH, 3]), None)
    found = model.propose(model.answer, size, model.training_settings.proposals).boxes[0, :3].numpy()
    assert np.diag(reference.iou_matrix(found, OBJECTS, inclusive=False)).min() > 0.999
    assert float(model.compute_losses(batch())[1]) == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("scaling", [0.5, 2.0, 4.0])
def test_it_multiplies_the_box_loss_of_the_rpn_and_no_other(spec, scaling):
    codes = perfect_codes() + 0.3
    plain = [float(loss) for loss in detector(spec, codes).compute_losses(batch())]
    # Smooth L1 with sigma 3 of 0.3 is 0.3 - 0.5 / 9; four numbers of three anchors, by the mini-batch of 64.
    assert plain[1] == pytest.approx(3 * 4 * (0.3 - 0.5 / 9) / 64, rel=1e-4)
    scaled = [float(loss) for loss in detector(with_scaling(spec, scaling), codes).compute_losses(batch())]
    gained = with_scaling(spec, 1.0)
    others = [float(loss) for loss in detector(gained, codes).compute_losses(batch())]
    np.testing.assert_allclose(scaled, np.multiply(others, [1.0, scaling, 1.0, 1.0]), rtol=1e-6)


def test_files_of_before_load_without_their_scaling():
    config = Geometry(128, 160, 3, (32.0,), (1.0,), 7, ("car",)).to_config()
    assert Geometry.from_config({**config, "std_scaling": 4.0}) == Geometry.from_config(config)


def test_files_of_before_keep_the_position_of_their_rois():
    config = Geometry(128, 160, 3, (32.0,), (1.0,), 7, ("car",)).to_config()
    del config["positions_by_stride"]
    assert not Geometry.from_config(config).positions_by_stride
