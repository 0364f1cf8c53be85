"""Record offsets of a record file, and the index file that stores them next to it.

With an index, any record on S3 can be read without reading the ones before it. The index is an array of
little-endian int64: the offset of each frame in bytes, followed by the size of the record file.
"""

import hashlib
import io
import os
import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from frcnn.errors import DataError
from frcnn.files import LONGEST_NAME, atomic_path
from frcnn.limits import RECORD_BYTES
from frcnn.regular_file import open_regular

if TYPE_CHECKING:
    import numpy as np

# A frame: length (uint64), CRC of the length, payload, CRC of the payload.
HEAD = struct.Struct("<QI")
TAIL_BYTES = 4
_STORED, _STORED_BYTES = "<i8", 8
_STRETCH = 16 << 20


def list_name(record_file: str) -> str:
    """Returns the name of a record file's index; hidden, so that record patterns do not match it.

    Args:
        record_file: Name of the record file.

    Returns:
        `.<name>.index`, or a name made from the hash if that is too long for a file system.
    """
    name = f".{record_file}.index"
    if len(os.fsencode(name)) <= LONGEST_NAME:
        return name
    return f".{hashlib.sha256(os.fsencode(record_file)).hexdigest()}.index"


def write_list(path: Path) -> None:
    """Writes the index of a record file next to it.

    Args:
        path: Record file.

    Raises:
        DataError: The file is unreadable, truncated or not a TFRecord file.
    """
    with atomic_path(path.with_name(list_name(path.name))) as temporary:
        temporary.write_bytes(pack(_offsets(path), path.stat().st_size))


def pack(offsets: Iterable[int], size: int) -> bytes:
    """Serializes record offsets as an index.

    This does not need NumPy, whose import takes longer than converting a small data set.

    Args:
        offsets: Offsets in bytes.
        size: Size of the record file, bytes.
    """
    stored = array("q", offsets)
    stored.append(size)
    if sys.byteorder == "big":
        stored.byteswap()
    return stored.tobytes()


def unpack(data: bytes, size: int) -> "np.ndarray | None":
    """Deserializes an index.

    Args:
        data: Content of the index file.
        size: Size of the record file, bytes.

    Returns:
        Offsets, int64 `[N]`, or `None` if the index does not match the record file.
    """
    import numpy as np

    if not data or len(data) % _STORED_BYTES:
        return None
    found = np.frombuffer(data, _STORED).astype(np.int64)
    least = HEAD.size + TAIL_BYTES
    lengths = np.diff(found)
    within = bool(np.all((lengths >= least) & (lengths <= least + RECORD_BYTES)))
    fits = found[-1] == size and found[0] == 0 and within
    return found[:-1] if fits else None


def offsets_of(path: Path) -> "np.ndarray":
    """Finds the offset of each record by reading all frame headers.

    Args:
        path: Record file.

    Returns:
        Offsets in bytes, int64 `[N]`; empty for an empty file.

    Raises:
        DataError: The file is unreadable, truncated or not a TFRecord file.
    """
    import numpy as np

    return np.array(_offsets(path), np.int64)


def _offsets(path: Path) -> "array[int]":
    try:
        with open_regular(path) as handle:
            return array("q", _scan(handle, path.stat().st_size, str(path)))
    except OSError as error:
        raise DataError(f"{path}: cannot read the file ({error.strerror})") from error


def offsets_by_reading(read: Callable[[int, int], bytes], size: int, name: str) -> "np.ndarray":
    """Finds the offset of each record by reading a file completely, in large chunks.

    Args:
        read: Callable that returns the bytes at (offset, length).
        size: Size of the file, bytes.
        name: Name of the file for messages.

    Returns:
        Offsets in bytes, int64 `[N]`.

    Raises:
        DataError: The file is truncated or not a TFRecord file.
    """
    import numpy as np

    return np.fromiter(_scan(_Stretches(read, size), size, name), np.int64)


def _scan(handle: "BinaryIO | _Stretches", size: int, name: str) -> Iterator[int]:
    offset = 0
    while offset < size:
        head = handle.read(HEAD.size)
        length = HEAD.unpack(head)[0] if len(head) == HEAD.size else size
        end = offset + HEAD.size + length + TAIL_BYTES
        if end > size or length > RECORD_BYTES:
            raise DataError(
                f"{name}: truncated or not a TFRecord file (at byte {offset} of {size}). "
                "Run dataset_convert again."
            )
        yield offset
        offset = end
        handle.seek(length + TAIL_BYTES, os.SEEK_CUR)


class _Stretches:
    """Minimal file object that reads in large chunks; supports only what `_scan` needs."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size = read, size
        self._position = self._start = 0
        self._stretch = io.BytesIO()

    def seek(self, count: int, whence: int) -> None:
        self._position += count

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count and self._position < self._size:
            if not self._start <= self._position < self._start + len(self._stretch.getbuffer()):
                self._start = self._position
                length = min(_STRETCH, self._size - self._start)
                self._stretch = io.BytesIO(self._read(self._start, length))
            self._stretch.seek(self._position - self._start)
            found = self._stretch.read(count - len(data))
            data, self._position = data + found, self._position + len(found)
        return data
