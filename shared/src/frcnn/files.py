"""Writes files atomically."""

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
from frcnn.locks import has_no_locks, try_lock

# Maximum length of a file name in bytes, on all file systems of Linux.
LONGEST_NAME = 255
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# In a folder with a short name, since the file's own name may have the maximum length.
_WORK_PREFIX, _WORK_SUFFIX = ".frcnn-", ".part"
_LOCK = ".frcnn-lock"

# Folders from which this process has already removed the leftovers of killed processes.
_tidied: set[Path] = set()


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """Yields a temporary path next to `final` and renames it to `final` if the block succeeds.

    The suffix is kept, since some writers choose the format by it. On any error, including Ctrl-C, the
    temporary file or folder is removed and `final` stays unchanged. Leftovers of killed processes are removed
    by the next process that writes in the folder.

    Args:
        final: File or folder to create or replace; its parent folder is created.

    Yields:
        Temporary path.

    Raises:
        RunError: The disk is full; the message names `final`.
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
            try:
                temporary.replace(final)
            except OSError as error:
                error.filename = str(final)  # not the temporary path
                raise
    except Exception as error:
        if is_disk_full(error):
            raise RunError(no_space_text(error, final)) from error
        raise


def make_staging_folder(path: Path) -> None:
    """Creates a folder for unfinished files unless an earlier run has left it.

    Its name is known in advance, so that others who may write to the parent folder can take it: a link would
    lead the files to a folder that they choose.

    Args:
        path: Folder; missing parents are created.

    Raises:
        RunError: There is a link or a file of that name.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise RunError(
            f"{path}: expected a folder of this program, found a link or a file. Remove it and run again."
        )
    path.mkdir(parents=True, exist_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files of killed processes from a folder.

    Files of running processes are kept: they are locked.

    Args:
        folder: Folder in which `atomic_path` created files.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        names = [each.name for each in entries if _is_work_folder(each.name)]
        for name in names:
            _remove_if_abandoned(folder / name)


@contextmanager
def _work_folder(parent: Path) -> Iterator[Path]:
    """Yields a new folder that is locked while the block runs and removed afterwards."""
    folder, handle = _new_work_folder(parent)
    try:
        yield folder
    finally:
        _remove_work_folder(folder)
        if handle is not None:
            handle.close()


def _new_work_folder(parent: Path) -> tuple[Path, BinaryIO | None]:
    while True:
        try:
            folder = Path(tempfile.mkdtemp(prefix=_WORK_PREFIX, suffix=_WORK_SUFFIX, dir=parent))
        except OSError as error:
            error.filename = str(parent)  # the name of the temporary folder would not help the user
            raise
        try:
            handle = try_lock(folder / _LOCK)
        except FileNotFoundError:
            continue  # another process removed it before it was locked
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
    if folder.is_symlink():  # not created here; it may lead to another user's folder
        return
    with contextlib.suppress(OSError):
        folder.rmdir()  # empty: killed before the lock file was created or after it was removed
        return
    with contextlib.suppress(OSError, RunError):
        if (folder / _LOCK).is_file() and (handle := try_lock(folder / _LOCK)) is not None:
            with handle:
                _remove_work_folder(folder)


def _remove_work_folder(folder: Path) -> None:
    """Removes the lock file last, so that leftovers of a process killed here are recognized."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _LOCK:
                path.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def is_disk_full(error: BaseException) -> bool:
    """Checks whether an error of Python, HDF5 or TensorFlow means lack of space or quota.

    Args:
        error: Error of a write.
    """
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(os.strerror(number) in str(error) for number in _FULL)


def no_space_text(error: BaseException, where: Path | str) -> str:
    """Returns the message for a write for which `is_disk_full` is true.

    Args:
        error: Error of the write.
        where: File or folder that is written.
    """
    if getattr(error, "errno", None) == errno.EFBIG or os.strerror(errno.EFBIG) in str(error):
        return f"disk full while writing {where}, or the file is larger than `ulimit -f` allows."
    return f"disk full while writing {where}. Free some space and run again."


def disk_full_while_reading(path: Path) -> RunError:
    """Returns the error for a temporary folder that is too small to unpack a file.

    Args:
        path: File to unpack.
    """
    return RunError(
        f"{path}: no room to unpack it in {tempfile.gettempdir()}. Free some space there or set TMPDIR."
    )


@contextmanager
def unlinked_file() -> Iterator[Path]:
    """Yields the path of an unnamed temporary file, which a killed process does not leave behind.

    The file is in the folder for temporary files, and only this user can read it. The path works in this
    process only; other processes must inherit the open file.

    Yields:
        Path of the file.
    """
    with tempfile.TemporaryFile() as stream:
        yield Path(f"/proc/self/fd/{stream.fileno()}")


def is_same_file(one: Path, other: Path) -> bool:
    """Checks whether two paths lead to the same existing file, following links.

    Args:
        one: A path.
        other: Another path.
    """
    try:
        return one.samefile(other)
    except OSError:
        return False


def write_text(final: Path, text: str) -> None:
    r"""Writes UTF-8 text atomically.

    Args:
        final: File to create or replace.
        text: Content; bytes of file names that are not UTF-8 are written as `\udce9`, which JSON reads.
    """
    with atomic_path(final) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
