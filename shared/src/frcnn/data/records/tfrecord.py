"""Reads and frames records in the TFRecord format, which `tf.data.TFRecordDataset` reads.

A file is a sequence of frames: length (8 bytes), checksum of the length (4), payload, checksum of the
payload (4). All numbers are little-endian; the checksum is a masked CRC-32C. The payload is an
`Example`. This module works without TensorFlow (docs/adr/0002).
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from frcnn.data.records.annotations import ImageRecord
from frcnn.data.records.example import decode
from frcnn.errors import DataError
from frcnn.limits import RECORD_BYTES
from frcnn.regular_file import open_regular

_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_HEADER_BYTES = _LENGTH.size + _CHECKSUM.size
# Source: TensorFlow tutorial "TFRecord and tf.train.Example", section "TFRecords format details".
_MASK_DELTA = 0xA282EAD8
_SUFFIX = re.compile(r"(-fold-\d{3,}-of-\d{3,})?(-shard-\d{5,}-of-\d{5,})?")


def frame(payload: bytes) -> bytes:
    """Frames a payload with its length and checksums, as in a record file."""
    length = _LENGTH.pack(len(payload))
    return b"".join((length, _masked_crc(length), payload, _masked_crc(payload)))


def is_whole_frame(data: bytes) -> bool:
    """Checks whether `data` is exactly one frame with valid checksums."""
    if len(data) < _HEADER_BYTES + _CHECKSUM.size:
        return False
    length, payload = data[: _LENGTH.size], data[_HEADER_BYTES : -_CHECKSUM.size]
    return (
        _masked_crc(length) == data[_LENGTH.size : _HEADER_BYTES]
        and _LENGTH.unpack(length)[0] == len(payload)
        and _masked_crc(payload) == data[-_CHECKSUM.size :]
    )


def read_payloads(path: Path) -> Iterator[bytes]:
    """Reads the payloads of a record file in order and verifies their checksums.

    Args:
        path: Record file.

    Yields:
        Payload of each record.

    Raises:
        DataError: The file is unreadable or truncated, or a checksum is wrong.
    """
    try:
        with open_regular(path) as stream:
            size = path.stat().st_size
            while stream.tell() < size:
                start = stream.tell()
                length = _read_length(stream, path, size)
                payload, checksum = stream.read(length), stream.read(_CHECKSUM.size)
                if _masked_crc(payload) != checksum:
                    raise _damaged(path, start, "checksum of the record is wrong")
                yield payload
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error


def read_records(path: Path) -> Iterator[ImageRecord]:
    """Reads the records of a record file in order.

    Args:
        path: Record file.

    Yields:
        Each decoded record.

    Raises:
        DataError: The file is unreadable or truncated, a checksum is wrong, or a payload is not a record.
    """
    for number, payload in enumerate(read_payloads(path)):
        try:
            yield decode(payload)
        except ValueError as error:
            raise DataError(f"{path}: record {number}: {error}") from error


def is_record_file(path: Path) -> bool:
    """Checks whether a file is empty or starts with a readable record."""
    try:
        next(read_records(path), None)
    except DataError:
        return False
    return True


def file_name(prefix: str, fold: int, folds: int, shard: int, shards: int) -> str:
    """Returns `<prefix>[-fold-000-of-002][-shard-00000-of-00010]`.

    Args:
        prefix: Prefix of the file names.
        fold: Index of the fold.
        folds: Number of folds; 0 omits the fold part.
        shard: Index of the shard.
        shards: Number of shards; 0 omits the shard part.
    """
    fold_part = f"-fold-{fold:03d}-of-{folds:03d}" if folds else ""
    shard_part = f"-shard-{shard:05d}-of-{shards:05d}" if shards else ""
    return f"{prefix}{fold_part}{shard_part}"


def files_of(output: Path) -> list[Path]:
    """Lists the existing record files of an output prefix, sorted by name.

    Args:
        output: Path prefix. Only names that are the prefix plus optional fold and shard parts match.
    """
    if not output.parent.is_dir():
        return []
    return sorted(
        path
        for path in output.parent.iterdir()
        if path.name.startswith(output.name) and _SUFFIX.fullmatch(path.name[len(output.name) :])
    )


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return _CHECKSUM.pack((rotated + _MASK_DELTA) & 0xFFFFFFFF)


def _read_length(stream: BinaryIO, path: Path, size: int) -> int:
    start = stream.tell()
    header = stream.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        raise _damaged(path, start, "the file ends within a record")
    if _masked_crc(header[: _LENGTH.size]) != header[_LENGTH.size :]:
        raise _damaged(path, start, "no record starts here (checksum of the length is wrong)")
    (length,) = _LENGTH.unpack_from(header)
    if length > RECORD_BYTES:
        raise _damaged(path, start, f"a record of {length} bytes; no record has more than {RECORD_BYTES}")
    if start + _HEADER_BYTES + length + _CHECKSUM.size > size:
        raise _damaged(path, start, "the file ends within a record")
    return int(length)


def _damaged(path: Path, offset: int, reason: str) -> DataError:
    return DataError(f"{path}: damaged at byte {offset}: {reason}. Run dataset_convert again.")
