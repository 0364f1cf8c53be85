"""File locks that are released when their holder ends, even if it is killed."""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from frcnn.errors import RunError

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds a lock file while the block runs; waits for other holders. The file is kept.

    Args:
        path: Lock file; created if missing.

    Raises:
        RunError: The file system does not support locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            raise RunError(
                f"{path}: the file system does not support locks ({error.strerror}). Use one that does, "
                "such as a local disk, NFS 4 or CephFS."
            ) from error
        yield
    finally:
        os.close(handle)


def try_lock(path: Path) -> BinaryIO | None:
    """Locks a file without waiting; the lock is held until the returned file is closed.

    Args:
        path: File in an existing folder; created if missing.

    Returns:
        The open file, or `None` if another process holds the lock.

    Raises:
        FileNotFoundError: The folder is missing.
        RunError: The path is a link or a special file; it may have been placed there so that another file is
            emptied.
        OSError: The file cannot be created, or the file system does not support locks.
    """
    while True:
        handle = _opened(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The previous holder may have removed the file between opening and locking it here.
            if _is_at(handle, path):
                return handle
        except BlockingIOError:
            handle.close()
            return None
        except BaseException:
            handle.close()
            raise
        handle.close()


def has_no_locks(error: OSError) -> bool:
    """Checks whether an error means that the file system does not support locks.

    Args:
        error: Error of a lock request.
    """
    return error.errno in _UNSUPPORTED


def _opened(path: Path) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _no_lock_file(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_lock_file(path)
    return os.fdopen(descriptor, "r+b")


def _no_lock_file(path: Path) -> RunError:
    return RunError(f"{path}: expected a lock file, found a link or a special file. Remove it and run again.")


def _is_at(handle: BinaryIO, path: Path) -> bool:
    """Checks whether an open file is still the file at a path."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False
