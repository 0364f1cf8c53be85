"""Messages and behavior of the input pipeline for invalid data."""

import gc

import numpy as np
import pytest
import tensorflow as tf

from frcnn.data.input.dataset import training_dataset, validation_dataset
from frcnn.data.records.annotations import Label
from frcnn.data.records.tfrecord import frame
from frcnn.errors import DataError
from frcnn.settings.data import data_settings
from tests.support.batches import logged, numbered, train_numbers, validation_pass
from tests.support.loading import (
    image_bytes,
    image_record,
    loading_spec,
    noise_image,
    source,
    write_records,
)


def test_no_mapped_class_is_an_error_that_lists_both_sides(make):
    spec = make([image_record(0, (Label("tree", 1, 1, 9, 9),))])
    with pytest.raises(DataError, match=r"contain tree \(1\), the mapping contains car, person, van"):
        training_dataset(data_settings(spec))


def test_records_without_any_object_are_an_error(make):
    record = image_record(0)
    with pytest.raises(DataError, match="contain no objects"):
        training_dataset(data_settings(make([record.__class__(**{**_fields(record), "labels": ()})])))


def _fields(record):
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def broken(records, number):
    records[number - 1] = image_record(number, records[number - 1].labels, encoded=b"no image")
    return records


def test_a_broken_image_is_named_once_and_the_next_one_takes_its_place(make, caplog):
    spec = make(broken(numbered(5), 3), batch_size_per_gpu=5)
    batches = train_numbers(spec, 3)
    assert [sorted(batch) for batch in batches] == [[1, 2, 4, 4, 5]] * 3
    assert logged(caplog).count("image images/000003: its embedded bytes are not a readable JPEG or PNG") == 1


def test_broken_images_are_named_though_nothing_but_the_batches_is_kept(make, caplog):
    batches = training_dataset(data_settings(make(broken(numbered(4), 3), batch_size_per_gpu=4))).batches
    gc.collect()
    iterator = iter(batches)
    del batches
    gc.collect()
    next(iterator)
    assert "images/000003" in logged(caplog)


def test_a_missing_image_is_named_and_skipped(tmp_path, caplog):
    records = [image_record(1), image_record(2, encoded=None)]
    write_records(tmp_path / "set", records)
    spec = loading_spec(source(tmp_path / "set", tmp_path), batch_size_per_gpu=2)
    next(iter(training_dataset(data_settings(spec)).batches))
    assert "Skipping 1 missing images" in logged(caplog)
    assert "000002.png: no such image" in logged(caplog)


def test_a_broken_validation_image_is_left_out_and_not_replaced(make, caplog):
    spec = make(broken(numbered(4), 2), validation_fold=0)
    (batch,) = validation_pass(spec, batch_size=4)
    assert batch["image_valid"].tolist() == [True, False, True, True]
    assert "images/000002" in logged(caplog)


def test_strict_reads_all_images_first_and_names_the_broken_ones(make):
    spec = make(broken(broken(numbered(5), 3), 5), validation_fold=0)
    with pytest.raises(DataError, match=r"cannot read 2 of 5 images:\n.*000003.*\n.*000005"):
        validation_dataset(data_settings(spec), batch_size=1, strict=True)
    spec.dataset_config.validation_fold = None
    with pytest.raises(DataError, match="cannot read 2 of 5 images"):
        training_dataset(data_settings(spec), strict=True)


def test_damaged_record_is_skipped_like_a_broken_image(make, tmp_path, caplog):
    spec = make(numbered(3), batch_size_per_gpu=3)
    path = tmp_path / "set-fold-000-of-001"
    data = bytearray(path.read_bytes())
    # Within the label coordinates: still a valid message, which only the checksum tells from the right one.
    where = data.index(np.float32(12.0).tobytes())
    data[where] ^= 1
    path.write_bytes(bytes(data))
    assert sorted(train_numbers(spec, 1)[0]) == [2, 2, 3]


def test_a_record_that_makes_no_sense_is_skipped_too(make, tmp_path, caplog):
    spec = make(numbered(2), batch_size_per_gpu=3)
    with (tmp_path / "set-fold-000-of-001").open("ab") as file:
        file.write(frame(b"no message"))
    assert sorted(train_numbers(spec, 1)[0]) == [1, 1, 2]
    assert "record 2 of" in logged(caplog)


def test_when_a_record_file_is_gone_training_stops(make, tmp_path):
    dataset = training_dataset(data_settings(make(numbered(2))))
    (tmp_path / "set-fold-000-of-001").unlink()
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"2 image.s. in a row.*record . of .*set-fold-000"
    ):
        next(iter(dataset.batches))


def test_when_nothing_can_be_read_any_more_training_stops(tmp_path, caplog):
    (tmp_path / "images").mkdir()
    image = tmp_path / "images" / "000000.png"
    image.write_bytes(image_bytes(noise_image(0)))
    write_records(tmp_path / "set", [image_record(0, encoded=None)])
    dataset = training_dataset(
        data_settings(loading_spec(source(tmp_path / "set", tmp_path), batch_size_per_gpu=1))
    )
    image.unlink()
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"1 image.s. in a row"):
        next(iter(dataset.batches))
    assert "images/000000.png: no such image" in logged(caplog)
