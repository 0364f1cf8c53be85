import numpy as np
import pytest

from frcnn.data.records import offsets
from frcnn.data.records.offsets import offsets_by_reading, offsets_of, pack, unpack
from frcnn.data.records.tfrecord import frame, is_whole_frame
from frcnn.errors import DataError

RECORDS = [frame(b"a" * length) for length in (0, 5, 100, 1, 70)]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "records"
    path.write_bytes(b"".join(RECORDS))
    return path


def test_offsets_are_sums_of_the_lengths_before(path):
    assert offsets_of(path).tolist() == [0, 16, 37, 153, 170]


@pytest.mark.parametrize("stretch", [1, 13, 64, 1000])
def test_reading_in_stretches_finds_the_same(path, stretch, monkeypatch):
    monkeypatch.setattr(offsets, "_STRETCH", stretch)
    data = path.read_bytes()
    reads = []

    def read(offset, length):
        reads.append((offset, length))
        return data[offset : offset + length]

    assert offsets_by_reading(read, len(data), "records").tolist() == offsets_of(path).tolist()
    assert max(length for _, length in reads) <= stretch


def test_a_list_fits_its_own_file_only(path):
    found = offsets_of(path)
    size = path.stat().st_size
    np.testing.assert_array_equal(unpack(pack(found, size), size), found)
    assert unpack(pack(found, size), size + 1) is None
    assert unpack(pack(found[1:], size), size) is None
    assert unpack(pack(found[::-1], size), size) is None
    assert unpack(b"", size) is None
    assert unpack(b"123", size) is None
    assert unpack(pack(np.zeros(0, np.int64), 0), 0).tolist() == []


def test_a_file_that_is_cut_short_is_an_error_both_ways(path):
    data = path.read_bytes()[:-1]
    path.write_bytes(data)
    for scan in (
        lambda: offsets_of(path),
        lambda: offsets_by_reading(lambda o, n: data[o : o + n], len(data), str(path)),
    ):
        with pytest.raises(DataError, match=f"{path}: truncated or not a TFRecord file .at byte 170 of 255"):
            scan()


def test_a_record_is_whole_if_both_checksums_are_right():
    record = RECORDS[2]
    assert is_whole_frame(record)
    assert not is_whole_frame(record[:-1])
    assert not is_whole_frame(record + b"x")
    assert not is_whole_frame(b"")
    for place in (0, 9, 50, len(record) - 1):
        assert not is_whole_frame(record[:place] + bytes([record[place] ^ 1]) + record[place + 1 :])
