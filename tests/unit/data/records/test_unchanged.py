"""Record files that change while they are in use."""

import os

import pytest

from frcnn.data.records.index import RecordIndex
from frcnn.data.records.unchanged import FileStates
from frcnn.errors import DataError
from tests.support.batches import numbered
from tests.support.loading import write_records


def touch_later(path):
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def replace(path):
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    touch_later(other)
    other.replace(path)


CHANGES = {
    "replaced by an equal one": (replace, "replaced"),
    "written to": (lambda path: path.write_bytes(path.read_bytes() + b"more"), "replaced"),
    "removed": (lambda path: path.unlink(), "removed"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_file_that_changes_is_named(tmp_path, change):
    act, how = change
    for name in ("a", "b"):
        write_records(tmp_path / name, numbered(2))
    index = RecordIndex.scan([tmp_path / "a", tmp_path / "b"])
    index.states.require_unchanged()
    act(tmp_path / "b")
    with pytest.raises(DataError, match=f"{tmp_path}/b was {how} while it was in use"):
        index.states.require_unchanged()


def test_files_that_are_only_read_or_moved_through_a_link_are_unchanged(tmp_path):
    (tmp_path / "real").mkdir()
    write_records(tmp_path / "real/a", numbered(2))
    (tmp_path / "now").symlink_to("real")
    states = FileStates.of([tmp_path / "now/a", tmp_path / "missing"])
    (tmp_path / "now/a").read_bytes()
    (tmp_path / "real/a").rename(tmp_path / "a")
    (tmp_path / "now").unlink()
    (tmp_path / "now").symlink_to(".")
    states.require_unchanged()
