"""Where the records of a record file begin, and the list of that beside each file.

With the list, a record on S3 can be read by its number without reading what stands before it. It is a row of
little-endian int64: the offset of each record's head in bytes, and at the end the size of the file.
"""

import hashlib
import io
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from frcnn.errors import DataError
from frcnn.files import LONGEST_NAME, atomic_path

# A record is: its length (uint64), a CRC of the length, the bytes, a CRC of the bytes.
HEAD = struct.Struct("<QI")
TAIL_BYTES = 4
_STORED = np.dtype("<i8")
_STRETCH = 16 << 20


def list_name(record_file: str) -> str:
    """The name of the list of a record file; hidden, so that no pattern takes it for records.

    A name that would be too long for a file system is replaced by its hash.
    """
    name = f".{record_file}.index"
    if len(os.fsencode(name)) <= LONGEST_NAME:
        return name
    return f".{hashlib.sha256(os.fsencode(record_file)).hexdigest()}.index"


def write_list(path: Path) -> None:
    """Writes the list of a record file, beside it.

    Raises:
        DataError: The file cannot be read, is cut short or is not a TFRecord file.
    """
    with atomic_path(path.with_name(list_name(path.name))) as temporary:
        temporary.write_bytes(pack(offsets_of(path), path.stat().st_size))


def pack(offsets: np.ndarray, size: int) -> bytes:
    """The list of offsets, int64 [N], of a file of `size` bytes."""
    return np.append(offsets, size).astype(_STORED).tobytes()


def unpack(data: bytes, size: int) -> np.ndarray | None:
    """The offsets in a list, int64 [N]; None if it does not fit a file of `size` bytes."""
    if not data or len(data) % _STORED.itemsize:
        return None
    found = np.frombuffer(data, _STORED).astype(np.int64)
    least = HEAD.size + TAIL_BYTES
    fits = found[-1] == size and found[0] == 0 and bool(np.all(np.diff(found) >= least))
    return found[:-1] if fits else None


def offsets_of(path: Path) -> np.ndarray:
    """Where the records begin, int64 [N], by the heads of all of them; an empty file has none.

    Raises:
        DataError: The file cannot be read, is cut short or is not a TFRecord file.
    """
    try:
        with path.open("rb") as handle:
            return np.fromiter(_scan(handle, path.stat().st_size, str(path)), np.int64)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def offsets_by_reading(read: Callable[[int, int], bytes], size: int, name: str) -> np.ndarray:
    """As `offsets_of`, where a file can be read only in long stretches: all of it is read.

    Args:
        read: Gives the bytes at an offset, of a length.
        size: Of the file.
        name: Of the file.
    """
    return np.fromiter(_scan(_Stretches(read, size), size, name), np.int64)


def _scan(handle: "BinaryIO | _Stretches", size: int, name: str) -> Iterator[int]:
    offset = 0
    while offset < size:
        head = handle.read(HEAD.size)
        length = HEAD.unpack(head)[0] if len(head) == HEAD.size else size
        end = offset + HEAD.size + length + TAIL_BYTES
        if end > size:
            raise DataError(
                f"{name}: cut short or not a TFRecord file (at byte {offset} of {size}); "
                "convert the data set again"
            )
        yield offset
        offset = end
        handle.seek(length + TAIL_BYTES, os.SEEK_CUR)


class _Stretches:
    """A file that is read in long stretches; only what it takes to walk along it."""

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
