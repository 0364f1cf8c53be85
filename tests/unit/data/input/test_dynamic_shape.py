"""Images that keep their aspect: their sizes, their padding, their boxes."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from frcnn.data.input.dataset import training_dataset, validation_dataset
from frcnn.data.records.annotations import Label
from frcnn.data.transforms.preprocess import ImageSettings, pad_to_multiple, prepare_image, target_size
from frcnn.settings.data import data_settings, image_settings
from tests.support.loading import image_bytes, image_record, loading_spec, noise_image, source, write_records
from tests.support.plain_images import bilinear

MEAN = np.float32([123.68, 116.779, 103.939])


def dynamic_spec(tmp_path, sizes, **changes):
    """A spec of images of these sizes, the shorter side to become 96 px and the longer at most 200."""
    records = [
        image_record(number, (Label("car", 4.0, 4.0, 12.0, 20.0),), pixels=noise_image(number, *size))
        for number, size in enumerate(sizes)
    ]
    write_records(tmp_path / "set-fold-000-of-001", records)
    fields = {"size_height_width": None, "size_min": SimpleNamespace(min=96), "output_image_max": 200}
    return loading_spec(source(tmp_path / "set*"), **{**fields, "enable_auto_resize": False, **changes})


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((370, 1224), (96, 317)),
        ((48, 50), (96, 100)),
        ((100, 50), (192, 96)),
        ((40, 1000), (8, 200)),
        ((7, 3000), (1, 200)),
    ],
)
def test_shorter_side_is_given_unless_the_longer_one_gets_too_long(size, expected):
    limit = 200 if max(expected) == 200 else 400
    settings = ImageSettings(0, 0, 3, "rgb", (0.0, 0.0, 0.0), 1.0, False, min_side=96, max_side=limit)
    assert tuple(int(side) for side in target_size(settings, *map(tf.constant, size))) == expected


@pytest.mark.parametrize("short", range(90, 400, 7))
def test_no_rounding_error_costs_a_pixel(short):
    settings = ImageSettings(0, 0, 3, "rgb", (0.0, 0.0, 0.0), 1.0, False, min_side=384)
    assert int(target_size(settings, tf.constant(short), tf.constant(short * 2))[0]) == 384


def test_without_a_longest_side_there_is_no_limit(tmp_path):
    settings = image_settings(dynamic_spec(tmp_path, [], output_image_max=0))
    assert settings.dynamic
    assert int(target_size(settings, tf.constant(10), tf.constant(100))[1]) == 960


def test_padding_goes_to_the_right_and_bottom():
    padded = pad_to_multiple(tf.ones([65, 64, 3]), 64)
    assert padded.shape == (128, 64, 3)
    assert float(tf.reduce_sum(padded)) == 65 * 64 * 3
    np.testing.assert_array_equal(padded[:65], 1)


def test_inference_resizes_each_image_to_its_own_size(tmp_path):
    settings = image_settings(dynamic_spec(tmp_path, []))
    image, size = prepare_image(tf.constant(image_bytes(noise_image(1, 40, 60))), settings)
    np.testing.assert_allclose(image + MEAN, bilinear(noise_image(1, 40, 60), 96, 144), atol=1e-3)
    np.testing.assert_array_equal(size, [40, 60])


def test_a_batch_is_padded_to_a_common_shape_with_the_mean(tmp_path):
    spec = dynamic_spec(tmp_path, [(40, 60), (60, 40), (20, 60)], validation_fold=0)
    dataset = validation_dataset(data_settings(spec), batch_size=2)
    assert tuple(dataset.batches.element_spec["images"].shape) == (2, None, None, 3)
    first, second = dataset.batches.as_numpy_iterator()
    assert first["images"].shape == (2, 192, 192, 3)
    assert second["images"].shape == (2, 128, 256, 3)
    np.testing.assert_array_equal(first["size"], [[96, 144], [144, 96]])
    np.testing.assert_array_equal(second["size"][0], [66, 200])
    np.testing.assert_array_equal(second["image_valid"], [True, False])
    expected = bilinear(noise_image(1, 60, 40), 144, 96)
    np.testing.assert_allclose(first["images"][1, :144, :96] + MEAN, expected, atol=1e-3)
    assert not first["images"][1, 144:].any() and not first["images"][1, :, 96:].any()


def test_boxes_are_scaled_by_what_the_image_was_scaled_by(tmp_path):
    spec = dynamic_spec(tmp_path, [(40, 60), (20, 60)], validation_fold=0)
    (batch,) = validation_dataset(data_settings(spec), batch_size=2).batches.as_numpy_iterator()
    scale = np.float32([66 / 20, 200 / 60] * 2)
    np.testing.assert_array_equal(batch["boxes"][0, 0], np.round(np.float32([4, 4, 20, 12]) * 2.4))
    np.testing.assert_array_equal(batch["boxes"][1, 0], np.minimum(np.round([4, 4, 20, 12] * scale), 65))


def test_validation_is_not_flipped_and_training_is_within_the_images_own_size(tmp_path):
    spec = dynamic_spec(
        tmp_path, [(40, 60)], validation_fold=0, hflip_probability=1.0, enable_augmentation=True
    )
    (plain,) = validation_dataset(data_settings(spec), batch_size=1).batches.as_numpy_iterator()
    np.testing.assert_array_equal(plain["boxes"][0, 0], [10, 10, 48, 29])
    spec.dataset_config.validation_fold = None
    spec.training_config.batch_size_per_gpu = 1
    flipped = next(iter(training_dataset(data_settings(spec)).batches))
    # 4..12 of 60 px becomes 48..56 of 60, times 2.4.
    np.testing.assert_array_equal(flipped["boxes"][0, 0], [10, 115, 48, 134])
    np.testing.assert_allclose(
        flipped["images"][0, :96, :144], plain["images"][0, :96, :144][:, ::-1], atol=1e-4
    )
    assert not flipped["images"][0, :, 144:].numpy().any()


def test_every_augmentation_works_on_images_of_any_size(tmp_path):
    spec = dynamic_spec(
        tmp_path,
        [(40, 60), (60, 40)],
        enable_augmentation=True,
        rotate_rad_max=0.1,
        zoom_max=1.1,
        color_shift_stddev=0.05,
    )
    batch = next(iter(training_dataset(data_settings(spec)).batches))
    assert batch["images"].shape == (2, 192, 192, 3)
    assert batch["valid"].numpy().sum() == 2
