"""Augmentation as a whole: what is drawn, in which order it is done, and that boxes follow pixels."""

import math

import numpy as np
import pytest
import tensorflow as tf

from frcnn.data.input.dataset import training_dataset
from frcnn.data.records.annotations import Label
from frcnn.data.settings import ColorSettings, SpatialSettings
from frcnn.data.transforms.augment import (
    Augmentation,
    SpatialParams,
    crop_transform,
    sample_spatial,
    spatial_transform,
)
from frcnn.data.transforms.objects import Objects
from frcnn.data.transforms.warp import warp_boxes
from frcnn.settings.data import crop_settings, data_settings, spatial_settings
from tests.support.loading import image_record, loading_spec, noise_image, source, write_records

H, W = 64, 96
EVERYTHING = SpatialSettings(0.5, 0.5, 9, 5, 0.8, 1.3, 0.5, 0.7)


def seeds(count):
    return [tf.constant([7, number], tf.int64) for number in range(count)]


def scene(box):
    """A dark picture with a bright box, and the box as an object."""
    image = np.full((H, W, 3), 10.0, np.float32)
    y1, x1, y2, x2 = box
    image[y1:y2, x1:x2] = 250.0
    objects = Objects(tf.constant([box], tf.float32), tf.constant([1]), tf.constant([False]))
    return tf.constant(image), objects


def found(image):
    ys, xs = np.nonzero(image.numpy()[..., 0] > 190)
    return [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1]


def test_boxes_follow_the_pixels_whatever_is_drawn():
    augment = tf.function(Augmentation(EVERYTHING))
    image, objects = scene([20, 30, 45, 60])
    for seed in seeds(25):
        changed, moved = augment(image, objects, seed, H, W)
        np.testing.assert_allclose(found(changed), moved.boxes[0], atol=1.3)


def test_flips_alone_copy_pixels_and_need_no_warp():
    augment = Augmentation(SpatialSettings(hflip=1.0, vflip=1.0))
    assert augment.spatial.only_flips
    pixels = noise_image(1, H, W).astype(np.float32)
    objects = Objects(tf.constant([[1.0, 2, 11, 22]]), tf.constant([0]), tf.constant([True]))
    image, moved = augment(tf.constant(pixels), objects, seeds(1)[0], H, W)
    np.testing.assert_array_equal(image, pixels[::-1, ::-1])
    np.testing.assert_array_equal(moved.boxes, [[H - 11, W - 22, H - 1, W - 2]])
    np.testing.assert_array_equal(moved.difficult, [True])


def test_equal_seeds_give_equal_pictures_and_others_do_not():
    augment = tf.function(Augmentation(EVERYTHING, ColorSettings(0.1, 20.0, 0.2, 0.2)))
    image, objects = scene([20, 30, 45, 60])
    first, again, other = (augment(image, objects, tf.constant([7, n], tf.int64), H, W)[0] for n in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def drawn(settings, count=400):
    def row(seed):
        return tf.stack([tf.cast(value, tf.float32) for value in sample_spatial(settings, seed, H, W)])

    rows = tf.function(lambda: tf.map_fn(row, tf.stack(seeds(count)), fn_output_signature=tf.float32))()
    return SpatialParams(*rows.numpy().T)


def test_draws_fill_their_ranges_and_keep_to_them():
    values = drawn(EVERYTHING)
    assert values.hflip.mean() == pytest.approx(0.5, abs=0.08)
    assert values.vflip.mean() == pytest.approx(0.5, abs=0.08)
    assert set(values.shift_x) == set(range(-9, 10))
    assert set(values.shift_y) == set(range(-5, 6))
    assert 0.8 <= values.ratio.min() < 0.82
    assert 1.28 < values.ratio.max() <= 1.3
    assert (values.angle == 0).mean() == pytest.approx(0.3, abs=0.08)
    assert 0.48 < values.angle.max() <= 0.5
    assert -0.5 <= values.angle.min() < -0.48


def test_zoom_keeps_smaller_content_inside_and_larger_content_covering():
    values = drawn(EVERYTHING)
    right = values.offset_x + W / values.ratio
    smaller = values.ratio > 1
    assert (values.offset_x[smaller] >= 0).all() and (right[smaller] <= W + 1e-3).all()
    assert (values.offset_x[~smaller] <= 0).all() and (right[~smaller] >= W - 1e-3).all()


def test_nothing_set_draws_nothing():
    values = drawn(SpatialSettings(), count=5)
    for value, expected in zip(values, (0, 0, 0, 0, 1, 0, 0, 0), strict=True):
        np.testing.assert_array_equal(value, expected)


def test_unset_zoom_and_rotate_probability_mean_what_the_reference_takes_them_for():
    config = loading_spec(zoom_min=0.0, zoom_max=0.0, rotate_rad_max=0.3).augmentation_config
    settings = spatial_settings(config.spatial_augmentation)
    assert (settings.zoom_min, settings.zoom_max, settings.rotate_probability) == (1.0, 1.0, 1.0)


def test_a_spec_gives_the_largest_rotation_in_degrees():
    config = loading_spec(rotate_rad_max=10.0, rotate_probability=1.0).augmentation_config
    degrees = np.degrees(drawn(spatial_settings(config.spatial_augmentation)).angle)
    assert -10.0001 <= degrees.min() < -9.7
    assert 9.7 < degrees.max() <= 10.0001
    assert degrees.std() == pytest.approx(20 / math.sqrt(12), rel=0.1)  # uniform


def test_pixels_turn_by_the_degrees_of_the_spec():
    """A bar through the center leans as far as the spec says at most, measured by its second moments."""
    config = loading_spec(rotate_rad_max=30.0, rotate_probability=1.0).augmentation_config
    augment = tf.function(Augmentation(spatial_settings(config.spatial_augmentation)))
    image, objects = scene([30, 18, 34, 78])
    angles = []
    for seed in seeds(60):
        y, x = np.nonzero(augment(image, objects, seed, H, W)[0].numpy()[..., 0] > 190)
        (xx, xy), (_, yy) = np.cov(x, y)
        angles.append(np.degrees(np.arctan2(2 * xy, xx - yy)) / 2)
    assert 25 < max(angles) < 30.5
    assert -30.5 < min(angles) < -25


def test_order_is_flip_translate_zoom_rotate():
    draw = SpatialParams(*map(tf.constant, (True, False, 8.0, 4.0, 2.0, 10.0, 6.0, math.pi / 2)))
    # (20, 30) -> flip (76, 30) -> shift (84, 34) -> zoom (52, 23) -> quarter turn about (48, 32): (57, 36).
    moved = warp_boxes(tf.constant([[30.0, 20.0, 30.0, 20.0]]), spatial_transform(draw, H, W))
    np.testing.assert_allclose(moved, [[36, 57, 36, 57]], atol=1e-4)


def test_window_scales_then_crops_onto_the_network_input():
    config = loading_spec(
        scale_width=2.0, scale_height=1.5, crop_left=10, crop_top=6, crop_right=10 + W, crop_bottom=6 + H
    ).augmentation_config.preprocessing
    moved = warp_boxes(tf.constant([[20.0, 30.0, 20.0, 30.0]]), crop_transform(crop_settings(config), H, W))
    np.testing.assert_allclose(moved, [[24, 50, 24, 50]])


def test_window_that_changes_nothing_is_none():
    assert crop_transform(crop_settings(loading_spec().augmentation_config.preprocessing), H, W) is None
    whole = loading_spec(crop_right=W, crop_bottom=H).augmentation_config.preprocessing
    assert crop_transform(crop_settings(whole), H, W) is None


# In the pipeline

BOX = (Label("car", 10.0, 8.0, 30.0, 20.0),)


def batch_of(tmp_path, record, **changes):
    write_records(tmp_path / "set", [record])
    spec = loading_spec(
        source(tmp_path / "set"),
        batch_size_per_gpu=1,
        image_channel_mean={"r": 1e-9, "g": 1e-9, "b": 1e-9},
        **changes,
    )
    batch = next(iter(training_dataset(data_settings(spec)).batches))
    return batch["images"][0].numpy(), batch["boxes"][0].numpy()[batch["valid"][0].numpy()]


def test_augmentation_is_off_unless_enabled(tmp_path):
    image, boxes = batch_of(tmp_path, image_record(0, BOX), hflip_probability=1.0)
    np.testing.assert_array_equal(boxes, [[8, 10, 20, 30]])
    np.testing.assert_allclose(image, noise_image(0), atol=1e-3)


def test_enabled_augmentation_flips_image_and_box(tmp_path):
    image, boxes = batch_of(tmp_path, image_record(0, BOX), hflip_probability=1.0, enable_augmentation=True)
    np.testing.assert_array_equal(boxes, [[8, 30, 20, 50]])
    np.testing.assert_allclose(image, noise_image(0)[:, ::-1], atol=1e-3)


def test_crop_applies_without_augmentation_too(tmp_path):
    crop = {"crop_left": 5, "crop_top": 4, "crop_right": 45, "crop_bottom": 28}
    image, boxes = batch_of(
        tmp_path, image_record(0, BOX), height=24, width=40, enable_auto_resize=False, **crop
    )
    np.testing.assert_array_equal(boxes, [[4, 5, 16, 25]])
    np.testing.assert_allclose(image, noise_image(0)[4:28, 5:45], atol=1e-3)


def test_without_resizing_a_shift_brings_in_what_lay_outside(tmp_path):
    spatial = {"translate_max_x": 6.0, "enable_augmentation": True, "enable_auto_resize": False}
    image, boxes = batch_of(tmp_path, image_record(0, BOX), height=24, width=40, **spatial)
    left = int(10 - boxes[0, 1])
    assert 0 < abs(left) <= 6
    expected = np.full((24, 40, 3), 127.5)
    source_columns = np.arange(40) + left
    inside = source_columns >= 0
    expected[:, inside] = noise_image(0)[:24, source_columns[inside]]
    np.testing.assert_allclose(image, expected, atol=1e-3)


def test_boxes_under_the_minimum_are_not_learned_from(tmp_path):
    labels = (
        Label("car", 10.0, 8.0, 30.0, 20.0),
        Label("car", 10.0, 8.0, 14.0, 30.0),
        Label("car", 1, 1, 30, 6),
    )
    _, boxes = batch_of(tmp_path, image_record(0, labels), min_bbox_width=5.0, min_bbox_height=8.0)
    np.testing.assert_array_equal(boxes, [[8, 10, 20, 30]])


def test_gray_images_keep_their_values(tmp_path):
    augment = Augmentation(color=ColorSettings(shift_stddev=0.5))
    image = tf.constant(noise_image(1, H, W)[..., :1], tf.float32)
    objects = Objects(tf.zeros([0, 4]), tf.zeros([0], tf.int32), tf.zeros([0], tf.bool))
    np.testing.assert_array_equal(augment(image, objects, seeds(1)[0], H, W)[0], image)
