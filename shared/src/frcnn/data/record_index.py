"""Where each record of a set of TFRecord files begins, so that any order of reading is possible.

Only the 12 bytes of each record's head are read, and 12 bytes are kept of it: 12 MB for a million images.
N is the number of records.
"""

import dataclasses
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from frcnn.errors import DataError

# A record is: its length (uint64), a CRC of the length, the bytes, a CRC of the bytes.
HEAD = struct.Struct("<QI")
TAIL_BYTES = 4


@dataclasses.dataclass(frozen=True, eq=False)
class RecordIndex:
    """All records of some files, numbered from 0 in the order of files.

    Attributes:
        files: The files.
        file_of: Number of the file that holds each record, int32 [N].
        offsets: Where each record's head begins in its file, bytes, int64 [N].
        counts: Records in each file.
    """

    files: tuple[Path, ...]
    file_of: np.ndarray
    offsets: np.ndarray
    counts: tuple[int, ...]

    @classmethod
    def scan(cls, files: Sequence[Path]) -> "RecordIndex":
        """Reads the heads of all records. An empty file is a file of no records.

        Raises:
            DataError: A file cannot be read, is cut short or is not a TFRecord file.
        """
        found = [np.fromiter(_offsets(path), np.int64) for path in files]
        counts = tuple(len(offsets) for offsets in found)
        file_of = np.repeat(np.arange(len(found), dtype=np.int32), counts)
        offsets = np.concatenate(found) if found else np.zeros(0, np.int64)
        return cls(tuple(files), file_of, offsets, counts)

    def __len__(self) -> int:
        """The number of records."""
        return len(self.offsets)

    def read(self, number: int) -> bytes:
        """The bytes of record `number`, checksums not verified."""
        with self.files[self.file_of[number]].open("rb") as handle:
            handle.seek(int(self.offsets[number]))
            length, _ = HEAD.unpack(handle.read(HEAD.size))
            return handle.read(length)


def _offsets(path: Path) -> Iterator[int]:
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            offset = 0
            while offset < size:
                head = handle.read(HEAD.size)
                length = HEAD.unpack(head)[0] if len(head) == HEAD.size else size
                end = offset + HEAD.size + length + TAIL_BYTES
                if end > size:
                    raise DataError(
                        f"{path}: cut short or not a TFRecord file (at byte {offset} of {size}); "
                        "convert the data set again"
                    )
                yield offset
                offset = end
                handle.seek(length + TAIL_BYTES, os.SEEK_CUR)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
