"""The look at a record set before a run."""

import dataclasses
import logging

import pytest

from frcnn.data.input import preflight as module
from frcnn.data.input.preflight import run_preflight
from frcnn.data.records.annotations import Label
from frcnn.data.records.index import RecordIndex
from frcnn.errors import DataError
from tests.support.loading import image_record, write_records

PIXELS = image_record(0).encoded


def look(tmp_path, classes, monkeypatch, *, most=20_000, budget=1 << 28, encoded=PIXELS):
    """Checks records with one object each, of these classes; all are mapped but `tree`."""
    monkeypatch.setattr(module, "MAX_RECORDS", most)
    monkeypatch.setattr(module, "MAX_BYTES", budget)
    records = [
        image_record(number, (Label(name, 1, 1, 9, 9),), encoded=encoded)
        for number, name in enumerate(classes)
    ]
    index = RecordIndex.scan([write_records(tmp_path / "set", records)])
    return run_preflight(index, (tmp_path,), ("png",), {"Car": "car"})


def test_a_small_set_is_counted_whole(tmp_path, monkeypatch):
    found = look(tmp_path, ["car", "tree", "car"], monkeypatch)
    assert (found.records, found.mapped, found.unmapped) == (3, {"car": 2}, {"tree": 1})


def test_a_large_set_is_sampled_evenly(tmp_path, monkeypatch):
    found = look(tmp_path, ["car", "tree", "tree"] * 4, monkeypatch, most=4)
    assert (found.records, found.mapped, found.unmapped) == (4, {"car": 4}, {})


def test_large_records_end_the_look_early(tmp_path, monkeypatch):
    assert look(tmp_path, ["car"] * 6, monkeypatch, budget=10_000).records < 4


def test_the_look_goes_on_until_a_mapped_object_is_found(tmp_path, monkeypatch):
    found = look(tmp_path, ["tree"] * 5 + ["car"], monkeypatch, budget=0)
    assert (found.records, found.mapped) == (6, {"car": 1})


def test_missing_images_are_counted(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"found no image .*images/000000\.png"):
        look(tmp_path, ["car"] * 2, monkeypatch, encoded=None)
    (tmp_path / "images").mkdir()
    (tmp_path / "images/000001.png").touch()
    assert look(tmp_path, ["car"] * 2, monkeypatch, encoded=None).present == 1


def test_records_of_another_kind_are_an_error(tmp_path):
    from frcnn.data.records.tfrecord import frame

    (tmp_path / "set").write_bytes(frame(b"something else"))
    with pytest.raises(DataError, match="no record can be decoded"):
        run_preflight(RecordIndex.scan([tmp_path / "set"]), (tmp_path,), ("png",), {"car": "car"})


def test_a_mapped_class_without_objects_is_named_with_the_nearest_class_of_the_records(tmp_path, caplog):
    labels = [(Label(name, 1, 1, 9, 9),) for name in ("car", "pedestrian", "car")]
    records = [image_record(number, each) for number, each in enumerate(labels)]
    index = RecordIndex.scan([write_records(tmp_path / "set", records)])
    mapping = {"car": "car", "pedestrain": "person", "van": "car", "purple": "purple"}
    with caplog.at_level(logging.INFO):
        run_preflight(index, (tmp_path,), ("png",), mapping)
    said = {record.args[1]: record for record in caplog.records if "no object in the" in record.msg}
    assert set(said) == {"pedestrain", "van", "purple"}
    assert said["pedestrain"].getMessage().endswith("; did you mean pedestrian, which is not mapped?")
    assert said["purple"].getMessage().endswith("(3 images); they contain car (2), pedestrian (1)")
    # Cars there are, under another key.
    assert [said[name].levelname for name in ("pedestrain", "purple", "van")] == [
        "WARNING",
        "WARNING",
        "INFO",
    ]


def test_a_validation_set_of_negatives_only_is_remarked_and_a_training_set_refused(tmp_path, caplog):
    records = [dataclasses.replace(image_record(number), labels=()) for number in range(3)]
    index = RecordIndex.scan([write_records(tmp_path / "set", records)])
    with caplog.at_level(logging.WARNING):
        run_preflight(index, (tmp_path,), ("png",), {"car": "car"}, "validation")
    assert [record.getMessage() for record in caplog.records] == [
        "The validation set contains no objects (3 images): average precision is undefined, and every "
        "detection is a false positive"
    ]
    with pytest.raises(DataError, match=r"the training records contain no objects \(3 images\)"):
        run_preflight(index, (tmp_path,), ("png",), {"car": "car"})


def test_names_from_records_are_shown_escaped(tmp_path, caplog):
    records = [image_record(0, (Label("car", 1, 1, 9, 9), Label("\x1b[2J\nred", 1, 1, 9, 9)))]
    index = RecordIndex.scan([write_records(tmp_path / "set", records)])
    with caplog.at_level(logging.INFO):
        run_preflight(index, (tmp_path,), ("png",), {"car": "car"})
    assert "\\x1b[2jred (1)" in caplog.text and "\x1b" not in caplog.text


def test_images_that_are_cropped_are_counted_with_the_objects_they_lose(tmp_path, caplog):
    labels = (
        Label("car", 1, 1, 9, 9),
        Label("car", 51, 1, 59, 9),
        Label("car", 1, 32, 9, 39),
        Label("tree", 55, 1, 59, 9),
    )
    records = [image_record(0, labels), image_record(1)]
    index = RecordIndex.scan([write_records(tmp_path / "set", records)])
    arguments = (index, (tmp_path,), ("png",), {"car": "car"}, "training")
    assert run_preflight(*arguments).cropped == run_preflight(*arguments, (40, 60)).cropped == 0
    assert "larger than the network input" not in caplog.text
    found = run_preflight(*arguments, (32, 48))
    assert (found.cropped, found.outside) == (2, 2)
    assert "2 training images (checked 2 images) are larger than the network input" in caplog.text
    assert "2 objects completely" in caplog.text and "enable_auto_resize: true" in caplog.text
