"""Index of all records in a set of record files, for reading them in any order.

The offsets of local files come from scanning all frame headers, those of S3 files from the index file next to
each (`offsets`). The index takes 12 bytes per record: 12 MB for a million images. N is the number of records.
"""

import concurrent.futures
import dataclasses
import logging
from collections.abc import Iterator, Sequence

import numpy as np

from frcnn.data.records.files import RecordFile, RemoteFile
from frcnn.data.records.offsets import HEAD, offsets_by_reading, offsets_of, unpack
from frcnn.data.records.unchanged import FileStates

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class RecordIndex:
    """All records of a list of files, numbered from 0 in the order of the files.

    Attributes:
        files: Record files, local or on S3.
        file_of: Index of each record's file, int32 `[N]`.
        offsets: Offset of each record's frame in its file, bytes, int64 `[N]`.
        counts: Number of records in each file.
        states: States of the local files before they were indexed.
    """

    files: tuple[RecordFile, ...]
    file_of: np.ndarray
    offsets: np.ndarray
    counts: tuple[int, ...]
    states: FileStates

    @classmethod
    def scan(cls, files: Sequence[RecordFile]) -> "RecordIndex":
        """Finds the records of all files; empty files have none.

        Args:
            files: Record files, local or on S3.

        Raises:
            DataError: A file is unreadable, truncated or not a TFRecord file.
            StoreError: S3 is unreachable.
        """
        states = FileStates.of(files)
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
        return cls(tuple(files), file_of, offsets, counts, states)

    @property
    def remote(self) -> tuple[bool, ...]:
        """Returns whether each file is on S3."""
        return tuple(isinstance(each, RemoteFile) for each in self.files)

    def __len__(self) -> int:
        """Returns the number of records."""
        return len(self.offsets)

    def extent(self, number: int) -> tuple[int, int]:
        """Returns the byte range of a record's frame in a file on S3.

        Args:
            number: Number of the record.

        Returns:
            Offset in the file and length including header and checksums, bytes.
        """
        file, start = int(self.file_of[number]), int(self.offsets[number])
        last = number + 1 == len(self) or self.file_of[number + 1] != file
        end = self.files[file].size if last else int(self.offsets[number + 1])  # type: ignore[union-attr]
        return start, end - start

    def read(self, number: int) -> bytes:
        """Reads the payload of record `number` without verifying its checksums."""
        file = self.files[self.file_of[number]]
        if isinstance(file, RemoteFile):
            return payload_of(file.read(*self.extent(number)))
        with file.open("rb") as handle:
            handle.seek(int(self.offsets[number]))
            length, _ = HEAD.unpack(handle.read(HEAD.size))
            return bytes(handle.read(length))

    def read_each(self, numbers: Sequence[int]) -> Iterator[bytes]:
        """Reads several payloads in order; in parallel if any file is on S3.

        Args:
            numbers: Numbers of the records.

        Yields:
            Payload of each record.
        """
        if not any(self.remote):
            yield from map(self.read, numbers)
            return
        with _pool(self.files) as pool:
            yield from pool.map(self.read, numbers)


def _pool(files: Sequence[RecordFile]) -> concurrent.futures.ThreadPoolExecutor:
    """Creates a pool with one thread per allowed concurrent request."""
    allowed = [file.transfer.threads for file in files if isinstance(file, RemoteFile)]
    return concurrent.futures.ThreadPoolExecutor(max(allowed, default=1))


def payload_of(framed: bytes) -> bytes:
    """Returns the payload of a frame, without header and checksums."""
    return framed[HEAD.size : HEAD.size + HEAD.unpack_from(framed)[0]]


def _remote_offsets(file: RemoteFile) -> np.ndarray:
    """Reads the offsets from the file's index; without a valid index, reads the whole file."""
    if file.size == 0:
        return np.zeros(0, np.int64)
    if file.offsets is not None:
        found = unpack(file.offsets.read(0, file.offsets.size), file.size)
        if found is not None:
            return found
        log.warning(
            "Ignoring index %s: it does not match %s. Run dataset_convert again to rebuild it.",
            file.offsets,
            file.name,
        )
    log.info("Reading all of %s: it has no usable index. Run dataset_convert again to create one.", file)
    return offsets_by_reading(file.read, file.size, str(file))
