"""Maps of image and boxes: a box is drawn, warped, and found again where the map puts it."""

import math

import numpy as np
import pytest
import tensorflow as tf

from frcnn.data.transforms import warp
from frcnn.data.transforms.objects import Objects
from tests.support.loading import noise_image

H, W = 60, 90


def drawn(box, height=H, width=W):
    """A black picture with the box filled white."""
    image = np.zeros((height, width, 3), np.float32)
    y1, x1, y2, x2 = box
    image[y1:y2, x1:x2] = 255.0
    return image


def found(image):
    """The rectangle around what is brighter than the gray outside; yxyx, pixel edges."""
    ys, xs = np.nonzero(image[..., 0] > 160)
    return [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1]


MAPS = {
    "hflip": warp.mirroring(tf.constant(True), tf.constant(False), H, W),
    "vflip": warp.mirroring(tf.constant(False), tf.constant(True), H, W),
    "shift": warp.translation(-7.0, 11.0),
    "smaller": warp.scaling(0.5, 0.5),
    "larger": warp.composed([warp.scaling(1.5, 1.5), warp.translation(-20.0, -10.0)]),
    "quarter turn": warp.rotation(math.pi / 2, W / 2, H / 2),
    "small turn": warp.rotation(0.2, W / 2, H / 2),
    "all": warp.composed(
        [
            warp.mirroring(tf.constant(True), tf.constant(False), H, W),
            warp.translation(5.0, -3.0),
            warp.scaling(0.8, 0.8),
            warp.rotation(-0.3, W / 2, H / 2),
        ]
    ),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_drawn_box_is_found_where_its_coordinates_go(name):
    box = [20, 30, 40, 55]
    image = warp.warp_image(tf.constant(drawn(box)), MAPS[name], H, W)
    moved = warp.warp_boxes(tf.constant([box], tf.float32), MAPS[name])
    np.testing.assert_allclose(found(image.numpy()), moved[0], atol=1.01)


@pytest.mark.parametrize(
    ("name", "copied"),
    [("hflip", np.s_[:, ::-1]), ("vflip", np.s_[::-1])],
)
def test_mirroring_copies_pixels_exactly(name, copied):
    image = noise_image(1, H, W).astype(np.float32)
    np.testing.assert_array_equal(warp.warp_image(tf.constant(image), MAPS[name], H, W), image[copied])


def test_shift_by_whole_pixels_copies_exactly_and_leaves_gray():
    image = noise_image(2, H, W).astype(np.float32)
    expected = np.full_like(image, 127.5)
    expected[11:, :-7] = image[:-11, 7:]
    np.testing.assert_array_equal(warp.warp_image(tf.constant(image), MAPS["shift"], H, W), expected)


def plain_warp(image, point_back, height, width):
    """Bilinear sampling, pixel by pixel, of the point that each pixel's center comes from."""
    result = np.zeros((height, width, image.shape[-1]))

    def pixel(row, column):
        inside = 0 <= row < image.shape[0] and 0 <= column < image.shape[1]
        return image[row, column] if inside else np.full(image.shape[-1], 127.5)

    for row, column in np.ndindex(height, width):
        x, y = point_back(column + 0.5, row + 0.5)
        top, left = math.floor(y - 0.5), math.floor(x - 0.5)
        down, across = y - 0.5 - top, x - 0.5 - left
        result[row, column] = (
            pixel(top, left) * (1 - down) * (1 - across)
            + pixel(top, left + 1) * (1 - down) * across
            + pixel(top + 1, left) * down * (1 - across)
            + pixel(top + 1, left + 1) * down * across
        )
    return result


def test_pixels_equal_a_plain_warp_that_undoes_the_steps_backwards():
    image = noise_image(3, 20, 30).astype(np.float32)
    steps = [
        warp.mirroring(tf.constant(True), tf.constant(False), 20, 30),
        warp.translation(4.0, -2.0),
        warp.composed([warp.scaling(0.7, 0.7), warp.translation(3.0, 2.5)]),
        warp.rotation(0.4, 12.0, 8.0),
    ]

    def back(x, y):
        cos, sin = math.cos(-0.4), math.sin(-0.4)
        x, y = 12 + cos * (x - 12) - sin * (y - 8), 8 + sin * (x - 12) + cos * (y - 8)
        x, y = (x - 3.0) / 0.7, (y - 2.5) / 0.7
        x, y = x - 4.0, y + 2.0
        return 30 - x, y

    warped = warp.warp_image(tf.constant(image), warp.composed(steps), 16, 24)
    np.testing.assert_allclose(warped, plain_warp(image, back, 16, 24), atol=0.05)


def test_a_turned_box_gets_the_rectangle_around_its_corners():
    turned = warp.warp_boxes(tf.constant([[-1.0, -2.0, 1.0, 2.0]]), warp.rotation(math.pi / 6, 0.0, 0.0))
    cos, sin = math.cos(math.pi / 6), math.sin(math.pi / 6)
    across, down = 2 * cos + sin, 2 * sin + cos
    np.testing.assert_allclose(turned, [[-down, -across, down, across]], rtol=1e-6)


def test_no_boxes_stay_no_boxes():
    assert warp.warp_boxes(tf.zeros([0, 4]), MAPS["all"]).shape == (0, 4)


def test_boxes_are_clipped_and_dropped_when_too_little_is_left():
    boxes = tf.constant(
        [[-5.0, -5, 10, 10], [-5, -5, 4, 10], [0, 80, 9, 95], [0, 87, 9, 95], [70, 10, 80, 20]]
    )
    objects = Objects(boxes, tf.range(5), tf.constant([True] + [False] * 4))
    left = warp.clip_objects(objects, H, W, min_height=5.0, min_width=4.0)
    np.testing.assert_array_equal(left.boxes, [[0, 0, 10, 10], [0, 80, 9, 90]])
    np.testing.assert_array_equal(left.classes, [0, 2])
    np.testing.assert_array_equal(left.difficult, [True, False])
