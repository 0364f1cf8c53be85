"""Files that are written whole or not at all."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from frcnn.errors import RunError
from frcnn.single_writer import has_no_locks, try_lock

# Maximum length of a file name in bytes, on all file systems of Linux.
LONGEST_NAME = 255
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Short, since the file's own name may be as long as a name can be.
_WORK_PREFIX, _WORK_SUFFIX = ".frcnn-", ".part"
_LOCK = ".frcnn-lock"

# Folders in which this process has looked for what killed ones left.
_tidied: set[Path] = set()


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """A temporary path beside `final`, renamed onto it when the block ends well.

    The suffix is kept, since some writers choose the format by it. On any error, Ctrl-C included,
    the temporary file or folder is removed and `final` stays as it was. What a killed process left is
    removed by the next one that writes in the folder. The parent folder is made.

    Raises:
        RunError: the disk is full; names `final`.
    """
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.parent not in _tidied:
            _tidied.add(final.parent)
            remove_leftovers(final.parent)
        with _work_folder(final.parent) as folder:
            temporary = folder / final.name
            yield temporary
            if temporary.is_file():
                _flush_to_disk(temporary)
            temporary.replace(final)
    except Exception as error:
        if is_disk_full(error):
            raise RunError(f"disk full while writing {final}; make room and run again") from error
        raise


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files that killed processes left in a folder.

    Those of running processes stay, whoever they belong to: their lock tells.

    Args:
        folder: Folder in which `atomic_path` made files.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        names = [each.name for each in entries if _is_work_folder(each.name)]
        for name in names:
            _remove_if_abandoned(folder / name)


@contextmanager
def _work_folder(parent: Path) -> Iterator[Path]:
    """Creates a folder that is locked while the block runs, and removed after it."""
    folder, handle = _new_work_folder(parent)
    try:
        yield folder
    finally:
        _remove_work_folder(folder)
        if handle is not None:
            handle.close()


def _new_work_folder(parent: Path) -> tuple[Path, BinaryIO | None]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_WORK_PREFIX, suffix=_WORK_SUFFIX, dir=parent))
        try:
            handle = try_lock(folder / _LOCK)
        except FileNotFoundError:
            continue  # another process took it for abandoned before it was locked
        except OSError as error:
            if not has_no_locks(error):
                shutil.rmtree(folder, ignore_errors=True)
                raise
            return folder, None
        if handle is not None:
            return folder, handle


def _is_work_folder(name: str) -> bool:
    return name.startswith(_WORK_PREFIX) and name.endswith(_WORK_SUFFIX)


def _remove_if_abandoned(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()  # killed before it was locked, or after the lock's file was removed
        return
    with contextlib.suppress(OSError):
        if (folder / _LOCK).is_file() and (handle := try_lock(folder / _LOCK)) is not None:
            with handle:
                _remove_work_folder(folder)


def _remove_work_folder(folder: Path) -> None:
    """Removes the lock's file last: what is left of a process killed in between is still known by it."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _LOCK:
                path.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def is_disk_full(error: BaseException) -> bool:
    """Whether a write failed for lack of space, quota or file size, as Python, HDF5 or TensorFlow say it."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(os.strerror(number) in str(error) for number in _FULL)


def no_room_to_read(path: Path) -> RunError:
    """What to raise when the folder for temporary files is too small to unpack `path` in."""
    return RunError(
        f"{path}: no room to unpack it in {tempfile.gettempdir()}; make room there, or set TMPDIR"
    )


@contextmanager
def unlinked_file() -> Iterator[Path]:
    """A file without a name, for what must not outlive this process, however that ends.

    It lies in the folder for temporary files, can be read by this user only, and is written and read by
    the path that is given, but by this process alone: others get it as an open file.
    """
    with tempfile.TemporaryFile() as stream:
        yield Path(f"/proc/self/fd/{stream.fileno()}")


def is_same_file(one: Path, other: Path) -> bool:
    """Checks whether two paths lead to one existing file, following links."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def write_text(final: Path, text: str) -> None:
    """Writes UTF-8 text to `final`, whole or not at all."""
    with atomic_path(final) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
