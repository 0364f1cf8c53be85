"""Boxes in the network input against the loader's own, which uses TensorFlow."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from frcnn.data.transforms import objects  # noqa: E402
from frcnn.data.transforms.image_settings import ImageSettings  # noqa: E402
from frcnn.survey.network_input import NetworkInput  # noqa: E402
from frcnn.survey.tables import IMAGE  # noqa: E402


def test_boxes_are_kept_and_rounded_as_in_training():
    random = np.random.default_rng(0)
    images = np.zeros(500, IMAGE)
    images["height"], images["width"] = 375, 1242
    corners = np.sort(random.uniform(-20, [[400], [1260]], (500, 2, 2)), axis=2).astype(np.float32)
    boxes = np.stack([corners[:, 1, 0], corners[:, 0, 0], corners[:, 1, 1], corners[:, 0, 1]], axis=1)
    boxes[:50, 2:] = boxes[:50, :2] + random.uniform(0, 8, (50, 2))
    network = NetworkInput(
        ImageSettings(192, 640, 3, "rgb", (0.0,) * 3, 1.0, auto_resize=True), min_height=3.0, min_width=2.0
    )
    whole, kept = network.kept(network.boxes(boxes, images), images)
    scale = tf.constant([192 / 375, 640 / 1242], tf.float32)
    yxyx = tf.constant(boxes[:, [1, 0, 3, 2]]) * tf.tile(scale, [2])
    numbers = tf.range(len(boxes))
    ours = objects.Objects(yxyx, numbers, numbers < 0)
    expected = objects.snap_to_pixels(objects.drop_small(ours, 3.0, 2.0), 192, 640)
    assert np.flatnonzero(kept).tolist() == expected.classes.numpy().tolist()
    np.testing.assert_array_equal(whole[kept][:, [1, 0, 3, 2]], expected.boxes.numpy())


def test_a_dynamic_input_has_the_size_of_each_image():
    images = np.zeros(2, IMAGE)
    images["height"], images["width"] = [400, 300], [800, 300]
    settings = ImageSettings(0, 0, 3, "rgb", (0.0,) * 3, 1.0, True, min_side=200, max_side=300)
    assert NetworkInput(settings).sizes(images).tolist() == [[150, 300], [200, 200]]
