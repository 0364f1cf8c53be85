"""Reads files from untrusted folders: regular files only, up to a limited size.

Opening a named pipe blocks, and a link to `/dev/zero` never ends. Both are refused with a message.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


class NotRegularError(OSError):
    """File that is not a regular file, or is too large; `strerror` gives the reason."""


def open_regular(path: Path) -> BinaryIO:
    """Opens a regular file for reading; never blocks on a pipe.

    Args:
        path: File, or link to one.

    Returns:
        The open file.

    Raises:
        NotRegularError: `path` is a pipe, a socket, a device or a folder.
        FileNotFoundError: `path` is missing, or a broken link.
        OSError: The file cannot be opened.
    """
    _check(path, path.stat())  # opening a device may already have side effects
    # If the file has been replaced by a pipe, opening it without O_NONBLOCK would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(path, os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, limit: int) -> bytes:
    """Reads a regular file of limited size.

    Args:
        path: File, or link to one.
        limit: Maximum size in bytes.

    Returns:
        The content.

    Raises:
        NotRegularError: `path` is not a regular file, or is larger than `limit`.
        OSError: See `open_regular`.
    """
    with open_regular(path) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise NotRegularError(errno.EFBIG, f"larger than {limit >> 20} MiB", str(path))
    return content


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise NotRegularError(errno.EINVAL, f"{kind}, not a regular file", str(path))
