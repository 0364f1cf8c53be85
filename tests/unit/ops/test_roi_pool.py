"""RoI pooling against the formula, with the border boxes that rounding used to zero."""

import numpy as np
import pytest
import tensorflow as tf

from frcnn.ops.roi_pool import crop_and_resize
from tests.support import draw
from tests.support import reference_layers as reference
from tests.support.graph import compiled, static_shapes

HEIGHT, WIDTH = 96, 160
MAP = 6, 10


def features(rng: np.random.Generator, batch: int, channels: int = 3) -> np.ndarray:
    return rng.normal(size=(batch, *MAP, channels)).astype(np.float32)


@pytest.mark.parametrize("size", [7, 14, 2])
def test_crops_agree_with_numpy(size):
    rng = np.random.default_rng(5)
    maps = features(rng, 1)
    rois = draw.random_boxes(rng, 12, HEIGHT, WIDTH, sides=(0.5, 90))
    crops = crop_and_resize(maps, rois[None], HEIGHT, WIDTH, size)
    expected = reference.crop_and_resize(maps[0], rois, height=HEIGHT, width=WIDTH, size=size)
    np.testing.assert_allclose(crops, expected, atol=2e-4)


def test_a_ramp_is_sampled_where_the_formula_says():
    # The map's value is its row, so a crop shows y: rows 0 .. 5 of the map are pixels 0 .. 95.
    ramp = np.broadcast_to(np.arange(6, dtype=np.float32)[None, :, None, None], (1, 6, 10, 1))
    crops = crop_and_resize(ramp, np.float32([[[19, 0, 57, 80]]]), HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(crops[0, :, 1, 0], [1.0, 2.0, 3.0], atol=1e-5)


def test_boxes_on_the_far_border_have_no_zeroed_row_or_column():
    rng = np.random.default_rng(6)
    starts = rng.uniform(0, [HEIGHT - 3, WIDTH - 3], (2000, 2))
    ends = np.broadcast_to([HEIGHT - 1.0, WIDTH - 1.0], (2000, 2))
    rois = np.concatenate([starts, ends], axis=1).astype(np.float32)
    crops = crop_and_resize(np.ones((1, *MAP, 1), np.float32), rois[None], HEIGHT, WIDTH, 7)
    np.testing.assert_allclose(crops, 1.0, rtol=1e-5)


def test_border_boxes_agree_with_numpy():
    rng = np.random.default_rng(7)
    maps = features(rng, 1)
    rois = np.float32([[0, 0, 95, 159], [40, 100, 95, 159], [90, 3, 95, 20], [0, 150, 9, 159], [0, 0, 0, 0]])
    crops = crop_and_resize(maps, rois[None], HEIGHT, WIDTH, 7)
    expected = reference.crop_and_resize(maps[0], rois, height=HEIGHT, width=WIDTH, size=7)
    np.testing.assert_allclose(crops, expected, atol=2e-4)


def test_a_padded_roi_shows_the_first_cell():
    maps = features(np.random.default_rng(8), 1)
    crops = crop_and_resize(maps, np.zeros((1, 1, 4), np.float32), HEIGHT, WIDTH, 7)
    np.testing.assert_allclose(crops[0], np.broadcast_to(maps[0, 0, 0], (7, 7, 3)), rtol=1e-6)


def test_each_image_is_cropped_from_its_own_map_in_order():
    rng = np.random.default_rng(9)
    maps = features(rng, 3)
    rois = np.stack([draw.random_boxes(rng, 4, HEIGHT, WIDTH) for _ in range(3)])
    crops = crop_and_resize(maps, rois, HEIGHT, WIDTH, 7)
    single = [crop_and_resize(maps[i : i + 1], rois[i : i + 1], HEIGHT, WIDTH, 7) for i in range(3)]
    np.testing.assert_array_equal(crops, np.concatenate(single))


def test_gradients_of_the_features_add_up_to_the_bilinear_weights():
    # Bilinear weights of a sample add up to 1: the gradient of the sum of all samples counts the samples.
    rng = np.random.default_rng(10)
    maps = tf.constant(features(rng, 1, channels=1))
    rois = tf.constant(draw.random_boxes(rng, 5, HEIGHT, WIDTH)[None])
    with tf.GradientTape() as tape:
        tape.watch(maps)
        total = tf.reduce_sum(crop_and_resize(maps, rois, HEIGHT, WIDTH, 7))
    np.testing.assert_allclose(tf.reduce_sum(tape.gradient(total, maps)), 5 * 7 * 7, rtol=1e-4)


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
def test_sixteen_bit_features_give_float32_crops(dtype):
    rng = np.random.default_rng(12)
    maps = tf.cast(features(rng, 1), dtype)
    rois = draw.random_boxes(rng, 4, HEIGHT, WIDTH)[None]
    crops = crop_and_resize(maps, rois, HEIGHT, WIDTH, 7)
    assert crops.dtype == tf.float32
    expected = crop_and_resize(tf.cast(maps, tf.float32), rois, HEIGHT, WIDTH, 7)
    np.testing.assert_allclose(crops, expected, atol=1e-5)


def test_graph_mode_agrees_with_eager_and_shapes_are_static():
    rng = np.random.default_rng(11)
    inputs = features(rng, 2), np.stack([draw.random_boxes(rng, 4, HEIGHT, WIDTH) for _ in range(2)])

    def crop(maps, rois):
        return crop_and_resize(maps, rois, HEIGHT, WIDTH, 7)

    np.testing.assert_allclose(compiled(crop, *inputs), crop(*inputs), atol=1e-5)
    assert static_shapes(crop, *inputs) == [(8, 7, 7, 3)]


@pytest.mark.parametrize("by_stride", [False, True])
def test_crops_do_not_depend_on_how_much_the_image_was_padded(by_stride):
    rng = np.random.default_rng(8)
    sizes = [(96, 160), (90, 50), (33, 160)]
    padded = rng.normal(size=(3, 9, 12, 4)).astype(np.float32)
    rois = np.stack([draw.random_boxes(rng, 20, *size, sides=(0.5, 30)) for size in sizes])
    rois[:, 0] = [[0, 0, height - 1, width - 1] for height, width in sizes]
    heights, widths = tf.transpose(tf.constant(sizes))
    crops = np.reshape(
        crop_and_resize(padded, rois, heights, widths, 7, by_stride=by_stride), (3, 20, 7, 7, 4)
    )
    for image, (height, width) in enumerate(sizes):
        own = padded[image : image + 1, : -(-height // 16), : -(-width // 16)]
        alone = crop_and_resize(own, rois[image : image + 1], height, width, 7, by_stride=by_stride)
        np.testing.assert_allclose(crops[image], alone, atol=2e-5)


@pytest.mark.parametrize("by_stride", [False, True])
def test_an_image_of_one_pixels_height_gives_finite_crops(by_stride):
    maps = np.ones((1, 4, 8, 2), np.float32)
    rois = np.float32([[[0, 0, 0, 0], [0, 10, 0, 100]]])
    crops = crop_and_resize(maps, rois, tf.constant([1]), tf.constant([128]), 3, by_stride=by_stride)
    np.testing.assert_array_equal(crops, 1.0)


def test_by_stride_a_ramp_is_sampled_at_the_position_divided_by_the_stride():
    ramp = np.broadcast_to(np.arange(6, dtype=np.float32)[None, :, None, None], (1, 6, 10, 1))
    rois = np.float32([[[16, 0, 48, 80], [60, 0, 95, 80]]])
    crops = crop_and_resize(ramp, rois, HEIGHT, WIDTH, 3, by_stride=True)
    # Rows 0 .. 5 are pixels 0, 16 .. 80; below 80 there is only the last row.
    expected = [[1.0, 2.0, 3.0], [3.75, 4.375, 5.0]]
    np.testing.assert_allclose(crops[:, :, 1, 0], expected, atol=1e-4)


def test_crops_by_stride_agree_with_numpy():
    rng = np.random.default_rng(13)
    maps = features(rng, 1)
    rois = draw.random_boxes(rng, 30, 80, 144, sides=(0.5, 70))
    crops = crop_and_resize(maps, rois[None], HEIGHT, WIDTH, 7, by_stride=True)
    # Without the flag, an image of 81 x 145 px has its last pixels where this one has pixels 80 and 144.
    expected = reference.crop_and_resize(maps[0], rois, height=81, width=145, size=7)
    np.testing.assert_allclose(crops, expected, atol=2e-4)


def test_by_stride_an_object_has_the_same_crop_anywhere_in_the_image():
    tile = np.random.default_rng(14).normal(size=(1, 2, 2, 3))
    maps = np.tile(tile, (1, 3, 5, 1)).astype(np.float32)
    rois = np.float32([[[3, 5, 40, 44], [3, 101, 40, 140], [35, 101, 72, 140]]])
    crops = crop_and_resize(maps, rois, HEIGHT, WIDTH, 7, by_stride=True).numpy()
    np.testing.assert_allclose(crops[1:], np.broadcast_to(crops[0], crops[1:].shape), atol=1e-4)
    # As in TAO, the same object looks different at the other end of the image.
    shifted = crop_and_resize(maps, rois, HEIGHT, WIDTH, 7).numpy()
    assert np.abs(shifted[1] - shifted[0]).max() > 0.1
