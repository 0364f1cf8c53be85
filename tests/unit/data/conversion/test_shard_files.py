import errno
import os
import signal

import pytest

from frcnn.data.conversion.shard_files import staged
from frcnn.data.records.annotations import ImageRecord
from frcnn.data.records.example import encode
from frcnn.data.records.tfrecord import frame
from frcnn.errors import DataError, RunError, UsageError

OLD = frame(encode(ImageRecord("old", 1, 1)))


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def _write(files, *names, content=b""):
    for name in names:
        with files.open(name) as stream:
            stream.write(content)


def test_files_appear_with_the_commit_and_not_before(tmp_path):
    with staged(tmp_path / "new/kitti") as files:
        _write(files, "kitti-fold-000-of-001", content=b"abc")
        visible = [path for path in (tmp_path / "new").iterdir() if not path.name.startswith(".")]
        assert visible == []
        written, former = files.commit()
    assert (written, former) == ((tmp_path / "new/kitti-fold-000-of-001",), 0)
    assert written[0].read_bytes() == b"abc"
    assert _names(tmp_path / "new") == ["kitti-fold-000-of-001"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_after_an_error(tmp_path, error):
    (tmp_path / "kitti").write_bytes(OLD)
    with pytest.raises(error), staged(tmp_path / "kitti") as files:
        _write(files, "kitti")
        raise error
    assert _names(tmp_path) == ["kitti"]
    assert (tmp_path / "kitti").read_bytes() == OLD


def test_files_of_a_former_run_do_not_stay_among_the_new_ones(tmp_path):
    for shard in range(3):
        (tmp_path / f"kitti-shard-{shard:05d}-of-00003").write_bytes(OLD)
    (tmp_path / "kitti_warning.json").write_text("[]")
    (tmp_path / "kitti_b-shard-00000-of-00001").write_bytes(OLD)
    with staged(tmp_path / "kitti") as files:
        _write(files, "kitti-shard-00000-of-00002", "kitti-shard-00001-of-00002")
        assert files.commit()[1] == 3
    assert _names(tmp_path) == [
        "kitti-shard-00000-of-00002",
        "kitti-shard-00001-of-00002",
        "kitti_b-shard-00000-of-00001",
    ]


def test_a_file_that_is_no_record_file_is_not_replaced(tmp_path):
    (tmp_path / "kitti").write_text("a shopping list, longer than a record's head")
    with pytest.raises(DataError, match="kitti matches the output prefix"), staged(tmp_path / "kitti"):
        pass
    assert _names(tmp_path) == ["kitti"]


def test_a_folder_is_no_prefix(tmp_path):
    with pytest.raises(UsageError, match="is a folder"), staged(tmp_path):
        pass


def test_a_prefix_without_a_folder_means_the_working_folder(tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    with staged(Path("kitti")) as files:
        _write(files, "kitti")
        files.commit()
    assert _names(tmp_path) == ["kitti"]


def test_a_full_disk_is_said_to_be_full(tmp_path):
    with pytest.raises(RunError, match=r"disk full.*No files were left"), staged(tmp_path / "kitti"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert _names(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_commit_waits_for_its_end(tmp_path, monkeypatch, number):
    from pathlib import Path

    def _interrupt(*_):
        raise KeyboardInterrupt

    replace = Path.replace

    def _replace_and_signal(self, target):
        os.kill(os.getpid(), number)
        return replace(self, target)

    before = signal.signal(number, _interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), staged(tmp_path / "kitti") as files:
            _write(files, "kitti-shard-00000-of-00002", "kitti-shard-00001-of-00002")
            monkeypatch.setattr(Path, "replace", _replace_and_signal)
            files.commit()
        assert signal.getsignal(number) is _interrupt
    finally:
        signal.signal(number, before)
    assert _names(tmp_path) == ["kitti-shard-00000-of-00002", "kitti-shard-00001-of-00002"]
