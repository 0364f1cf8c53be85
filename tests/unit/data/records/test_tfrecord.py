import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frcnn.data.records import example_pb2
from frcnn.data.records.annotations import Calibration, ImageRecord, Label
from frcnn.data.records.example import FLOAT_FEATURES, decode, encode
from frcnn.data.records.tfrecord import (
    file_name,
    files_of,
    frame,
    is_record_file,
    read_payloads,
    read_records,
)
from frcnn.errors import DataError

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1)
LABELS = st.builds(
    Label,
    class_name=NAMES,
    occlusion=st.integers(-(2**31), 2**31),
    **dict.fromkeys(FLOAT_FEATURES, FLOATS),
)
RECORDS = st.builds(
    ImageRecord,
    frame_id=NAMES,
    height=st.integers(1, 2**31),
    width=st.integers(1, 2**31),
    labels=st.lists(LABELS, max_size=4).map(tuple),
    point_cloud_id=st.just("") | NAMES,
    calibration=st.none()
    | st.builds(
        Calibration,
        st.tuples(*[FLOATS] * 16),
        st.tuples(*[FLOATS] * 12),
    ),
)
FULL = ImageRecord(
    frame_id="image_2/000001",
    height=375,
    width=1242,
    labels=(
        Label("car", 1.5, 2.25, 30.0, 40.0, 0.5, 2, -1.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.75),
        Label("dontcare", 5.0, 6.0, 70.0, 80.0),
    ),
    encoded=b"\x89PNG bytes",
    image_format="png",
    point_cloud_id="velodyne/000001",
    calibration=Calibration(tuple(map(float, range(16))), tuple(map(float, range(12)))),
)
EMPTY = ImageRecord("image_2/000002", 10, 20)


def _write(path, *records):
    path.write_bytes(b"".join(frame(encode(record)) for record in records))
    return path


@given(RECORDS)
def test_decode_undoes_encode(record):
    assert decode(encode(record)) == record


@given(RECORDS, st.binary())
def test_embedded_bytes_come_back(record, content):
    record = dataclasses.replace(record, encoded=content, image_format="jpeg")
    assert decode(encode(record)) == record


def test_equal_records_give_equal_bytes():
    assert encode(FULL) == encode(dataclasses.replace(FULL))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_record_are_a_value_error(payload):
    with pytest.raises(ValueError, match=r"no|not"):
        decode(payload)


@pytest.mark.parametrize("name", ["frame/id", "frame/height", "frame/width"])
def test_a_record_without_size_or_name_is_a_value_error(name):
    example = example_pb2.Example()
    example.ParseFromString(encode(FULL))
    example.features.feature[name].Clear()
    with pytest.raises(ValueError, match=f"no {name}$"):
        decode(example.SerializeToString())


def test_columns_of_different_length_are_a_value_error():
    example = example_pb2.Example()
    example.ParseFromString(encode(FULL))
    del example.features.feature["target/coordinates_x1"].float_list.value[-1]
    with pytest.raises(ValueError, match="x1"):
        decode(example.SerializeToString())


def test_the_names_are_those_of_the_reference():
    example = example_pb2.Example()
    example.ParseFromString(encode(FULL))
    kinds = {name: feature.WhichOneof("kind") for name, feature in example.features.feature.items()}
    floats = [
        *[f"target/{name}" for name in ("truncation", "observation_angle")],
        *[f"target/coordinates_{name}" for name in ("x1", "y1", "x2", "y2")],
        *[f"target/world_bbox_{name}" for name in ("h", "w", "l", "x", "y", "z", "rot_y")],
        "calibration/T_lidar_to_camera",
        "calibration/P_lidar_to_image",
    ]
    assert kinds == {
        "frame/id": "bytes_list",
        "frame/height": "int64_list",
        "frame/width": "int64_list",
        "frame/encoded": "bytes_list",
        "frame/format": "bytes_list",
        "target/object_class": "bytes_list",
        "target/occlusion": "int64_list",
        "point_cloud/id": "bytes_list",
        "point_cloud/num_input_channels": "int64_list",
        **dict.fromkeys(floats, "float_list"),
    }


def test_an_image_without_objects_has_all_lists_and_they_are_empty():
    example = example_pb2.Example()
    example.ParseFromString(encode(EMPTY))
    feature = example.features.feature
    assert feature["target/object_class"].WhichOneof("kind") == "bytes_list"
    assert feature["target/occlusion"].WhichOneof("kind") == "int64_list"
    assert feature["target/coordinates_x1"].WhichOneof("kind") == "float_list"


def test_files_are_read_back(tmp_path):
    path = _write(tmp_path / "records", FULL, EMPTY, FULL)
    assert list(read_records(path)) == [FULL, EMPTY, FULL]
    assert is_record_file(path)


def test_an_empty_file_is_a_file_of_no_records(tmp_path):
    path = _write(tmp_path / "records")
    assert (list(read_records(path)), is_record_file(path)) == ([], True)


@pytest.mark.parametrize("place", [0, 8, 12, 40, -1])
def test_a_flipped_bit_is_found_and_its_record_named(tmp_path, place):
    first = frame(encode(EMPTY))
    second = bytearray(frame(encode(FULL)))
    second[place] ^= 1
    path = tmp_path / "records"
    path.write_bytes(first + second)
    with pytest.raises(DataError, match=f"records: damaged at byte {len(first)}"):
        list(read_payloads(path))


@pytest.mark.parametrize("missing", [1, 4, 5, 100])
def test_a_cut_file_is_found(tmp_path, missing):
    path = _write(tmp_path / "records", EMPTY, EMPTY)
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(DataError, match="the file ends within a record"):
        list(read_payloads(path))


def test_a_text_file_is_no_record_file(tmp_path):
    path = tmp_path / "notes"
    path.write_text("This is a text of more than twelve bytes.")
    assert not is_record_file(path)
    with pytest.raises(DataError, match="no record starts here"):
        list(read_payloads(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="nothing: No such file"):
        list(read_payloads(tmp_path / "nothing"))


def test_a_foreign_example_is_named_with_its_number(tmp_path):
    path = tmp_path / "records"
    path.write_bytes(frame(encode(EMPTY)) + frame(b""))
    with pytest.raises(DataError, match="records: record 1: no frame/id, frame/height, frame/width"):
        list(read_records(path))


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ((0, 2, 0, 10), "kitti-fold-000-of-002-shard-00000-of-00010"),
        ((1, 2, 0, 0), "kitti-fold-001-of-002"),
        ((0, 0, 3, 4), "kitti-shard-00003-of-00004"),
        ((0, 0, 0, 0), "kitti"),
    ],
)
def test_file_names(numbers, name):
    assert file_name("kitti", *numbers) == name


def test_files_of_a_prefix_are_told_from_those_of_longer_ones(tmp_path):
    own = ["kitti", "kitti-fold-000-of-002", "kitti-fold-001-of-002-shard-00000-of-00010"]
    others = ["kitti_val-fold-000-of-002", "kitti-fold-0-of-2", "kitti_warning.json", "kitt", "kitti-notes"]
    for name in own + others:
        (tmp_path / name).touch()
    assert [path.name for path in files_of(tmp_path / "kitti")] == own
    assert files_of(tmp_path / "nowhere/kitti") == []


class TestAgainstTensorFlow:
    """The same bytes, read by the library that the format comes from."""

    def test_checksums_and_values_are_right(self, tmp_path):
        import tensorflow as tf

        path = _write(tmp_path / "records", FULL, EMPTY)
        payloads = [payload.numpy() for payload in tf.data.TFRecordDataset(str(path))]
        assert payloads == list(read_payloads(path))
        features = {
            "frame/id": tf.io.FixedLenFeature([], tf.string),
            "frame/height": tf.io.FixedLenFeature([], tf.int64),
            "frame/encoded": tf.io.FixedLenFeature([], tf.string, ""),
            "target/object_class": tf.io.VarLenFeature(tf.string),
            "target/occlusion": tf.io.VarLenFeature(tf.int64),
            **{name: tf.io.VarLenFeature(tf.float32) for name in FLOAT_FEATURES.values()},
            "calibration/T_lidar_to_camera": tf.io.VarLenFeature(tf.float32),
        }
        for payload, record in zip(payloads, (FULL, EMPTY), strict=True):
            parsed = tf.io.parse_single_example(payload, features)
            assert parsed["frame/id"].numpy().decode() == record.frame_id
            assert int(parsed["frame/height"]) == record.height
            assert parsed["frame/encoded"].numpy() == (record.encoded or b"")
            values = {name: tf.sparse.to_dense(parsed[name]).numpy() for name in FLOAT_FEATURES.values()}
            for attribute, name in FLOAT_FEATURES.items():
                np.testing.assert_array_equal(values[name], [getattr(x, attribute) for x in record.labels])
            names = tf.sparse.to_dense(parsed["target/object_class"]).numpy()
            assert [name.decode() for name in names] == [label.class_name for label in record.labels]
            occlusion = tf.sparse.to_dense(parsed["target/occlusion"]).numpy()
            np.testing.assert_array_equal(occlusion, [label.occlusion for label in record.labels])

    def test_files_written_by_tensorflow_are_read(self, tmp_path):
        import tensorflow as tf

        theirs = tf.train.Example.FromString(encode(FULL))
        path = tmp_path / "records"
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(theirs.SerializeToString())
        assert list(read_records(path)) == [FULL]


def test_records_need_no_tensorflow():
    code = (
        "import sys, frcnn.data.conversion.convert, frcnn.data.records.tfrecord, frcnn.demo.dataset;"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
