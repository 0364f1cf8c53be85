"""Loading of images and records as cameras and other tools write them."""

import logging
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from frcnn.data.input.dataset import training_dataset, validation_dataset
from frcnn.data.records.annotations import Label
from frcnn.data.transforms.preprocess import decode_image
from frcnn.errors import DataError
from frcnn.settings.data import data_settings
from tests.support.batches import first, logged, objects_of
from tests.support.loading import image_bytes, image_record, loading_spec, source, write_records

MEAN = np.array([123.68, 116.779, 103.939])
RED, GREEN = (np.full((40, 60, 3), color, np.uint8) for color in ((200, 0, 0), (0, 200, 0)))


def spec_of(tmp_path, *records, **changes):
    write_records(tmp_path / "set", list(records))
    fields = {"batch_size_per_gpu": 1, **changes}
    return loading_spec(source(tmp_path / "set", tmp_path), **fields)


def color_of(batch):
    return np.asarray(batch["images"])[0].mean(axis=(0, 1)) + MEAN


@pytest.mark.parametrize(
    ("file", "other"),
    [
        ("a.JPG", "a.jpg"),
        ("a.jpg", "a.JPG"),
        ("a.JpEg", "a.jpeg"),
        ("a.png", "a.jpg"),
        (os.fsdecode(b"caf\xe9.jpg"), os.fsdecode(b"caf\xe9.png")),
        ("a" * 246 + ".jpg", "a" * 246 + ".png"),
        ("line\nbreak [x].jpg", "line\nbreak [x].png"),
    ],
)
def test_the_picture_that_was_converted_is_the_one_that_is_read(tmp_path, file, other):
    (tmp_path / file).write_bytes(image_bytes(RED))
    (tmp_path / other).write_bytes(image_bytes(GREEN))
    stem = file.rpartition(".")[0]
    record = image_record(0, frame_id=stem, file=file, encoded=None, image_format="", pixels=RED)
    np.testing.assert_allclose(
        color_of(first(training_dataset(data_settings(spec_of(tmp_path, record))))), RED[0, 0], atol=1
    )


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.jpg", "a.JPG", "a.jpeg", "a.JPEG"])
def test_a_record_without_a_file_name_finds_its_image_under_any_extension(tmp_path, name):
    (tmp_path / name).write_bytes(image_bytes(RED))
    record = image_record(0, frame_id="a", encoded=None, image_format="", pixels=RED)
    np.testing.assert_allclose(
        color_of(first(training_dataset(data_settings(spec_of(tmp_path, record))))), RED[0, 0], atol=1
    )


@pytest.mark.parametrize("fields", [{"file": "../private.png", "frame_id": "b"}, {"frame_id": "../private"}])
def test_a_record_that_leads_out_of_the_image_folder_is_not_read(tmp_path, fields):
    folder = tmp_path / "set"
    folder.mkdir()
    (tmp_path / "private.png").write_bytes(image_bytes(GREEN))
    (folder / "a.png").write_bytes(image_bytes(RED))
    records = [
        image_record(0, **{"frame_id": "a", "encoded": None, "image_format": "", "pixels": RED, **changes})
        for changes in ({}, fields)
    ]
    spec = spec_of(folder, *records, batch_size_per_gpu=2)
    images = np.asarray(first(training_dataset(data_settings(spec)))["images"])
    assert np.unique(np.round(images.mean(axis=(1, 2)) + MEAN)).tolist() == [0, 200]
    with pytest.raises(DataError, match=r"is not below the image folder|b\.png: no such image"):
        training_dataset(data_settings(spec), strict=True)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_an_image_that_became_a_pipe_or_a_device_is_skipped_and_named(tmp_path, caplog, make):
    make(tmp_path / "odd.png")
    (tmp_path / "a.png").write_bytes(image_bytes(RED))
    records = [
        image_record(0, frame_id=name, encoded=None, image_format="", pixels=RED) for name in ("odd", "a")
    ]
    spec = spec_of(tmp_path, *records, batch_size_per_gpu=2)
    with caplog.at_level(logging.WARNING):
        dataset = training_dataset(data_settings(spec))
        np.testing.assert_allclose(color_of(first(dataset)), RED[0, 0], atol=1)
    assert "Skipping 1 images that are not regular files" in logged(caplog)
    assert "odd.png: not a regular file" in logged(caplog)


@pytest.mark.parametrize("embedded", [True, False])
def test_a_picture_is_turned_with_its_boxes_when_the_record_says_so(tmp_path, embedded):
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[8:20, 10:30] = (0, 0, 200)
    stored = image_bytes(np.rot90(upright).copy())  # turned to the left: EXIF 6 turns it back
    (tmp_path / "a.png").write_bytes(stored)
    record = image_record(
        0,
        (Label("car", 10, 8, 30, 20),),
        frame_id="a",
        encoded=stored if embedded else None,
        pixels=upright,
        orientation=6,
    )
    batch = first(training_dataset(data_settings(spec_of(tmp_path, record))))
    assert objects_of(batch)[0] == [[8, 10, 20, 30]]
    pixels = np.asarray(batch["images"])[0] + MEAN
    np.testing.assert_allclose(pixels, upright, atol=0.01)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("largest", "bits"), [(200, 8), (1000, 10), (4095, 12), (9000, 14), (65535, 16)])
def test_16_bits_are_taken_from_where_the_camera_put_them(channels, largest, bits):
    values = np.linspace(0, largest, 240).astype(np.uint16).reshape(12, 20, 1)
    encoded = tf.io.encode_png(np.repeat(values, channels, axis=2))
    pixels = decode_image(encoded, channels).numpy()
    np.testing.assert_array_equal(pixels, np.repeat(values >> (bits - 8), channels, axis=2))


@pytest.mark.parametrize("content", [b"", b"x", b"\x89PNG\r\n\x1a\n", bytes(25)])
def test_short_files_are_told_as_what_they_are(content):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"JPEG|PNG|image|Input"):
        decode_image(tf.constant(content), 3)


def test_a_jpeg_of_several_pictures_is_read_as_its_first_one(tmp_path):
    pictures = [Image.fromarray(pixels) for pixels in (RED, GREEN)]
    pictures[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=pictures[1:], quality=95)
    record = image_record(0, frame_id="a", file="a.jpg", encoded=None, image_format="", pixels=RED)
    np.testing.assert_allclose(
        color_of(first(training_dataset(data_settings(spec_of(tmp_path, record))))), RED[0, 0], atol=3
    )


def test_classes_are_matched_whatever_their_case_and_spaces(tmp_path):
    labels = (
        Label("Traffic Light", 1, 1, 9, 9),
        Label("trafficlight", 11, 11, 19, 19),
        Label("ampel", 1, 1, 9, 9),
    )
    spec = spec_of(tmp_path, image_record(0, labels), target_class_mapping={"Traffic light": "light"})
    assert objects_of(first(training_dataset(data_settings(spec)))) == (
        [[1, 1, 9, 9], [11, 11, 19, 19]],
        [0, 0],
    )


def validation_of(tmp_path, labels, **changes):
    spec = spec_of(tmp_path, image_record(0, labels), **changes)
    spec.dataset_config.validation_data_source = spec.dataset_config.data_sources[0]
    return validation_dataset(data_settings(spec), batch_size=1)


def test_regions_that_nobody_labeled_are_handed_to_the_evaluation_only(tmp_path):
    labels = (Label("car", 10, 8, 30, 20), Label("dontcare", 40, 2, 58, 30), Label("tree", 1, 1, 9, 9))
    batch = first(validation_of(tmp_path, labels))
    assert objects_of(batch)[0] == [[8, 10, 20, 30]]
    np.testing.assert_array_equal(batch["ignored"][0], [[2, 40, 30, 58]] + [[0] * 4] * 4)
    mapped = first(validation_of(tmp_path, labels, target_class_mapping={"car": "a", "DontCare": "b"}))
    assert not np.any(mapped["ignored"])
    assert len(objects_of(mapped)[0]) == 2


def test_a_validation_set_may_be_without_objects_and_a_training_set_may_not(tmp_path, caplog):
    labels = (Label("dontcare", 1, 1, 9, 9),)
    with caplog.at_level(logging.WARNING):
        assert validation_of(tmp_path, labels).size == 1
    assert "The validation set contains no objects (1 images)" in logged(caplog)
    with pytest.raises(DataError, match="the training records contain no objects"):
        training_dataset(data_settings(spec_of(tmp_path, image_record(0, labels))))
    with pytest.raises(DataError, match=r"validation set: .*no object has a mapped class"):
        validation_of(tmp_path, (Label("tree", 1, 1, 9, 9),))
