import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from frcnn.errors import RunError
from frcnn.files import atomic_path, is_disk_full, remove_leftovers, write_text
from tests.support.unmeasured import unmeasured


def test_text_appears_under_its_name_and_nothing_else_does(tmp_path):
    write_text(tmp_path / "new" / "note.txt", "größer\n")
    assert (tmp_path / "new" / "note.txt").read_text(encoding="utf-8") == "größer\n"
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["note.txt"]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, fault):
    final = tmp_path / "model.keras"
    final.write_text("old")
    with pytest.raises(fault), atomic_path(final) as temporary:
        temporary.write_text("half")
        raise fault
    assert final.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["model.keras"]


def test_the_suffix_is_kept(tmp_path):
    with atomic_path(tmp_path / "curve.png") as temporary:
        assert temporary.suffix == ".png"
        temporary.touch()


def test_a_folder_is_renamed_as_a_whole(tmp_path):
    with atomic_path(tmp_path / "saved") as temporary:
        temporary.mkdir()
        (temporary / "weights").write_text("w")
        assert not (tmp_path / "saved").exists()
    assert (tmp_path / "saved" / "weights").read_text() == "w"


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, r"\. Free some space"), (errno.EFBIG, ", or the file is larger than `ulimit -f`")],
)
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path, number, advice):
    final = tmp_path / "records-00000-of-00010"
    with pytest.raises(RunError, match=f"disk full while writing {final}{advice}"), atomic_path(final):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_really_full_device_is_recognized(tmp_path):
    final = tmp_path / "labels.txt"
    with pytest.raises(RunError, match="disk full"), atomic_path(final), Path("/dev/full").open("w") as full:
        full.write("x")
    assert not final.exists()


def test_other_write_errors_stay_what_they_are(tmp_path):
    with pytest.raises(PermissionError), atomic_path(tmp_path / "x"):
        raise PermissionError(errno.EACCES, "no")


def test_a_folder_in_place_of_the_file_is_named_and_kept(tmp_path):
    (tmp_path / "report.json" / "mine").mkdir(parents=True)
    with pytest.raises(OSError) as caught:
        write_text(tmp_path / "report.json", "new")
    assert caught.value.filename == str(tmp_path / "report.json")
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert (tmp_path / "report.json" / "mine").is_dir()


def test_disk_full_is_recognized_in_messages_of_libraries():
    assert is_disk_full(OSError("Can't write data (error message = 'No space left on device')"))
    assert not is_disk_full(OSError(errno.ENOENT, "No such file"))


def test_what_a_killed_process_left_is_removed_by_the_next_writer_and_nothing_else(tmp_path):
    kept = [tmp_path / ".settings.abcdefgh", tmp_path / ".frcnn-notes.part"]
    for path in kept:
        path.mkdir()
        (path / "mine").touch()
    child_that_gets(signal.SIGKILL, tmp_path / "a.keras").wait()
    assert len(set(tmp_path.iterdir()) - set(kept)) == 1
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_the_temporary_files_of_a_running_process_stay(tmp_path):
    running = child_that_gets(signal.SIGSTOP, tmp_path / "a.keras")
    os.waitid(os.P_PID, running.pid, os.WSTOPPED)
    try:
        before = sorted(tmp_path.rglob("*"))
        remove_leftovers(tmp_path)
        assert sorted(tmp_path.rglob("*")) == before
    finally:
        running.kill()
        running.wait()


def test_a_name_as_long_as_a_name_can_be_is_written(tmp_path):
    write_text(tmp_path / ("n" * 255), "text")
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]


def child_that_gets(number, final):
    """Starts a process that gets a signal in the middle of writing a file."""
    code = """if True:
        import os, sys
        from pathlib import Path
        from frcnn.files import atomic_path
        with atomic_path(Path(sys.argv[1])) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), int(sys.argv[2]))
    """
    return subprocess.Popen([sys.executable, "-c", code, str(final), str(int(number))], env=unmeasured())
