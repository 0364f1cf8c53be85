"""Reads files from untrusted folders: regular files only, up to a limited size.

Opening a named pipe blocks, and a link to `/dev/zero` never ends. Both are refused with a message.
"""

import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from frcnn.errors import RunError

_PIECE = 1 << 16
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


class NotRegularError(OSError):
    """File that is not a regular file, or is too large; `strerror` gives the reason."""


def open_regular(path: str | Path) -> BinaryIO:
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
    descriptor = _open(path)[0]
    try:
        # `open` asks for the kind of file and its buffer size once more; system calls are the main cost here.
        return io.BufferedReader(io.FileIO(descriptor))
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | Path, limit: int) -> bytes:
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
    descriptor, size = _open(path)
    try:
        content = _read(descriptor, size, limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise NotRegularError(errno.EFBIG, f"larger than {limit >> 20} MiB", str(path))
    return content


def walk(folder: str | Path, *, follow_links: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """Lists a folder and all folders below it, like `os.walk`, which leaves out those that it cannot list.

    Args:
        folder: Folder. Nothing is listed if it does not exist.
        follow_links: Whether to follow links to folders.

    Yields:
        Path of a folder, names of its folders (the caller may remove some), and names of its files.

    Raises:
        RunError: A folder cannot be listed, for example because its owner does not allow it.
    """
    return os.walk(folder, onerror=_refuse_unlisted, followlinks=follow_links)


def _refuse_unlisted(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # removed since its parent was listed
        raise RunError(
            f"{os.fsdecode(error.filename)}: cannot list this folder ({error.strerror}). "
            "Make it readable, or move it elsewhere, and run again."
        ) from error


def reading_fault(error: OSError | UnicodeDecodeError) -> str:
    """Returns why a text file could not be read, for a message.

    Args:
        error: Error of reading or decoding it.
    """
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 text, at byte {error.start}"
    return error.strerror or str(error)


def _open(path: str | Path) -> tuple[int, int]:
    """Opens a regular file and returns its descriptor and its size in bytes; see `open_regular`."""
    # Opening a device may already have side effects. A `Path` would only add time here.
    _check(path, os.stat(path))  # noqa: PTH116
    # If the file has been replaced by a pipe, opening it without O_NONBLOCK would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        _check(path, status)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status.st_size


def _read(descriptor: int, size: int, most: int) -> bytes:
    """Reads up to `most` bytes; takes no more memory than the file has, even if `most` is large.

    Args:
        descriptor: Open file.
        size: Expected size, bytes. It may be outdated, or 0 for files of /proc.
        most: Maximum number of bytes.
    """
    pieces, wanted = [], size + 1
    while piece := os.read(descriptor, min(wanted, most)):
        pieces.append(piece)
        most -= len(piece)
        wanted = max(size, _PIECE)
    return b"".join(pieces)


def _check(path: str | Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise NotRegularError(errno.EINVAL, f"{kind}, not a regular file", str(path))
