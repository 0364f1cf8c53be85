"""File lock that is released when its holder ends, even if it is killed."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from frcnn.errors import RunError


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
