"""A lock that its holder loses when it ends, however it ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from frcnn.errors import RunError


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds the lock `path` within the block; waits for whoever holds it. The file stays.

    Raises:
        RunError: The file system of `path` knows no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            raise RunError(
                f"{path}: the file system there keeps no locks ({error.strerror}); use one that does, "
                "such as a local disk, NFS 4 or CephFS"
            ) from error
        yield
    finally:
        os.close(handle)
