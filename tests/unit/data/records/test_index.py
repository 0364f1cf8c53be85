"""The index finds each record where TensorFlow finds it."""

import pytest
import tensorflow as tf

from frcnn.data.records.index import RecordIndex
from frcnn.errors import DataError
from tests.support.loading import image_record, write_records


@pytest.fixture
def files(tmp_path):
    records = [image_record(number) for number in range(5)]
    return [
        write_records(tmp_path / "a", records[:3]),
        write_records(tmp_path / "b", []),
        write_records(tmp_path / "c", records[3:]),
    ]


def test_records_are_numbered_file_after_file(files):
    index = RecordIndex.scan(files)
    assert (len(index), index.counts) == (5, (3, 0, 2))
    expected = list(tf.data.TFRecordDataset([str(path) for path in files]).as_numpy_iterator())
    assert [index.read(number) for number in range(5)] == expected


def test_no_files_make_an_empty_index():
    assert len(RecordIndex.scan([])) == 0


@pytest.mark.parametrize("cut", [1, 5, 200])
def test_a_file_cut_short_is_an_error_that_names_it(files, cut):
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[:-cut])
    with pytest.raises(DataError, match="a: truncated"):
        RecordIndex.scan(files)


def test_a_file_of_another_kind_is_an_error(tmp_path):
    text = tmp_path / "labels"
    text.write_text("car 0 0 0 1 2 3 4 0 0 0 0 0 0 0")
    with pytest.raises(DataError, match="not a TFRecord"):
        RecordIndex.scan([text])


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        RecordIndex.scan([tmp_path / "nowhere"])
