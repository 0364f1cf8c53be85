"""Files of a folder that others filled: regular files only, up to a size.

A named pipe among labels blocks whoever opens it, and a link to `/dev/zero` never ends. Both are refused
here, by name.
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
    """Something that is no regular file, or is larger than allowed; `strerror` says which."""


def open_regular(path: Path) -> BinaryIO:
    """Opens a file for reading, without ever waiting for somebody to write it.

    Args:
        path: A link counts as what it leads to.

    Returns:
        The open file.

    Raises:
        NotRegularError: It is a pipe, a socket, a device or a folder.
        FileNotFoundError: It is missing, or a link to nowhere.
        OSError: It cannot be opened.
    """
    _check(path, path.stat())  # a device may already mind being opened
    # Without O_NONBLOCK, opening what has become a pipe since would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(path, os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, limit: int) -> bytes:
    """Reads a whole file of at most `limit` bytes.

    Raises:
        NotRegularError: It is no regular file, or larger.
        OSError: As `open_regular`.
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
