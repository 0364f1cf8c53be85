"""Where each record of a set of record files begins, so that any order of reading is possible.

Of a file on this machine the heads of all records are read; of one on S3, the list that lies beside it
(`offsets`). 12 bytes are kept of a record: 12 MB for a million images. N is the number of records.
"""

import concurrent.futures
import dataclasses
import logging
from collections.abc import Iterator, Sequence

import numpy as np

from frcnn.data.records.files import RecordFile, RemoteFile
from frcnn.data.records.offsets import HEAD, offsets_by_reading, offsets_of, unpack

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class RecordIndex:
    """All records of some files, numbered from 0 in the order of files.

    Attributes:
        files: The files.
        file_of: Number of the file that holds each record, int32 [N].
        offsets: Where each record's head begins in its file, bytes, int64 [N].
        counts: Records in each file.
    """

    files: tuple[RecordFile, ...]
    file_of: np.ndarray
    offsets: np.ndarray
    counts: tuple[int, ...]

    @classmethod
    def scan(cls, files: Sequence[RecordFile]) -> "RecordIndex":
        """Finds the records of all files. An empty file is a file of no records.

        Raises:
            DataError: A file cannot be read, is cut short or is not a TFRecord file.
            StoreError: S3 is out of reach.
        """
        with _pool(files) as pool:
            remote = {
                each: pool.submit(_remote_offsets, each) for each in files if isinstance(each, RemoteFile)
            }
            found = [
                remote[each].result() if isinstance(each, RemoteFile) else offsets_of(each) for each in files
            ]
        counts = tuple(len(offsets) for offsets in found)
        file_of = np.repeat(np.arange(len(found), dtype=np.int32), counts)
        offsets = np.concatenate(found) if found else np.zeros(0, np.int64)
        return cls(tuple(files), file_of, offsets, counts)

    @property
    def remote(self) -> tuple[bool, ...]:
        """For each file, whether it lies on S3."""
        return tuple(isinstance(each, RemoteFile) for each in self.files)

    def __len__(self) -> int:
        """The number of records."""
        return len(self.offsets)

    def extent(self, number: int) -> tuple[int, int]:
        """Offset of a record of a file on S3, and its length with head and checksums, bytes."""
        file, start = int(self.file_of[number]), int(self.offsets[number])
        last = number + 1 == len(self) or self.file_of[number + 1] != file
        end = self.files[file].size if last else int(self.offsets[number + 1])  # type: ignore[union-attr]
        return start, end - start

    def read(self, number: int) -> bytes:
        """The bytes of record `number`, checksums not verified."""
        file = self.files[self.file_of[number]]
        if isinstance(file, RemoteFile):
            return payload_of(file.read(*self.extent(number)))
        with file.open("rb") as handle:
            handle.seek(int(self.offsets[number]))
            length, _ = HEAD.unpack(handle.read(HEAD.size))
            return handle.read(length)

    def read_each(self, numbers: Sequence[int]) -> Iterator[bytes]:
        """As `read`, for one after the other; several at a time where they lie on S3."""
        if not any(self.remote):
            yield from map(self.read, numbers)
            return
        with _pool(self.files) as pool:
            yield from pool.map(self.read, numbers)


def _pool(files: Sequence[RecordFile]) -> concurrent.futures.ThreadPoolExecutor:
    """As many threads as there may be requests at a time."""
    allowed = [file.transfer.threads for file in files if isinstance(file, RemoteFile)]
    return concurrent.futures.ThreadPoolExecutor(max(allowed, default=1))


def payload_of(framed: bytes) -> bytes:
    """What a record holds, without its head and its checksum."""
    return framed[HEAD.size : HEAD.size + HEAD.unpack_from(framed)[0]]


def _remote_offsets(file: RemoteFile) -> np.ndarray:
    """By the list beside the file; without one all of it is read."""
    if file.size == 0:
        return np.zeros(0, np.int64)
    if file.offsets is not None:
        found = unpack(file.offsets.read(0, file.offsets.size), file.size)
        if found is not None:
            return found
        log.warning("%s does not fit %s: it is not used", file.offsets, file.name)
    log.info("%s: has no list of its records, so all of it is read once; convert again to have one", file)
    return offsets_by_reading(file.read, file.size, str(file))
