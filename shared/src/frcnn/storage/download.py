"""Fetches objects into a staging folder, in parallel pieces; present pieces are kept.

Every byte is verified before a file gets its final name: by the checksums of a manifest, or by the object's
ETag if that is a checksum (`checksums`).
"""

import functools
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from frcnn.errors import StoreError
from frcnn.files import make_staging_folder
from frcnn.paths import below
from frcnn.storage.checksums import md5
from frcnn.storage.faults import disk_full_named
from frcnn.storage.manifest import Manifest, StoredFile
from frcnn.storage.object_reading import Reading
from frcnn.storage.transfer import Transfer
from frcnn.storage.transfer_progress import TransferProgress

_BLOCK = 1 << 20

Task = Callable[[], None]


def fetch(transfer: Transfer, manifest: Manifest, staging: Path, progress: TransferProgress) -> None:
    """Fetches all files of a manifest into a staging folder.

    Args:
        transfer: Backend and limits of the requests.
        manifest: Manifest of the artifact.
        staging: Staging folder; may contain pieces from an interrupted run.
        progress: Progress display.

    Raises:
        StoreError: An object is missing, damaged or unreachable. The pieces that have arrived are kept.
        RunError: `staging` is a link, which would lead the files elsewhere.
    """
    files: dict[int, list[StoredFile]] = {}
    for file in manifest.files:
        files.setdefault(file.object, []).append(file)
    make_staging_folder(staging)
    with disk_full_named(str(staging)):
        transfer.run(
            task
            for number, stored in enumerate(manifest.objects)
            for task in _tasks(Reading.of(transfer, stored), files.get(number, []), staging, progress)
        )


def _tasks(
    reading: Reading, files: list[StoredFile], staging: Path, progress: TransferProgress
) -> Iterator[Task]:
    if all(_is_there(_place(reading, staging, file), file.size) for file in files):
        progress.add(reading.object.size, skipped=True)
    elif reading.pieces() == 1:
        yield functools.partial(_fetch_whole, reading, files, staging, progress)
    else:
        yield from _Pieces(reading, files, staging, progress).tasks()


def _is_there(path: Path, size: int) -> bool:
    """Checks whether a file is complete; files get their final names after verification."""
    return path.is_file() and path.stat().st_size == size


def _fetch_whole(
    reading: Reading, files: list[StoredFile], staging: Path, progress: TransferProgress
) -> None:
    data = reading.read(0)
    reading.check([md5(data)] if reading.object.md5s is None else [], lambda: "")
    for file in files:
        content = memoryview(data)[file.offset : file.offset + file.size]
        _write(_place(reading, staging, file), staging, [content])
    progress.add(len(data))


def _place(reading: Reading, staging: Path, file: StoredFile) -> Path:
    return below(staging, file.path, reading.where)


def _write(path: Path, staging: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Writes a file under a temporary name that a resumed run recognizes, then renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"file {path.relative_to(staging)}".encode(errors="surrogateescape")).hexdigest()
    partial = staging / f".{name[:16]}.partial"
    with partial.open("wb") as stream:
        stream.writelines(chunks)
    partial.replace(path)


class _Pieces:
    """Object of several pieces in a partial file; the thread with the last piece finishes it.

    A journal next to the partial file lists the pieces that have arrived, with their checksums. A resumed run
    verifies them.
    """

    def __init__(
        self, reading: Reading, files: list[StoredFile], staging: Path, progress: TransferProgress
    ) -> None:
        self._reading, self._files, self._staging, self._progress = reading, files, staging, progress
        name = hashlib.sha256(reading.object.name.encode()).hexdigest()[:16]
        self._data = staging / f".{name}.partial"
        self._journal = staging / f".{name}.journal"
        self._lock = threading.Lock()
        self._md5s: dict[int, str] = {}

    def tasks(self) -> Iterator[Task]:
        """Yields a task for each missing piece."""
        self._recall()
        for number in self._md5s:
            self._progress.add(self._reading.object.piece(number)[1], skipped=True)
        missing = [n for n in range(self._reading.pieces()) if n not in self._md5s]
        with self._data.open("ab") as stream:
            stream.truncate(self._reading.object.size)
        if not missing:
            yield self._finish
        for number in missing:
            yield functools.partial(self._fetch, number)

    def _recall(self) -> None:
        """Restores from the journal the pieces that the partial file really contains."""
        if not (self._journal.is_file() and self._data.is_file()):
            return
        expected = self._reading.object.md5s
        with self._data.open("rb") as stream:
            for line in self._journal.read_text().splitlines():
                number, _, told = line.partition(" ")
                if not number.isdigit() or int(number) >= self._reading.pieces():
                    continue
                offset, length = self._reading.object.piece(int(number))
                stream.seek(offset)
                found = md5(stream.read(length))
                if found == (expected[int(number)] if expected else told):
                    self._md5s[int(number)] = found

    def _fetch(self, number: int) -> None:
        data = self._reading.read(number)
        known = self._reading.object.md5s
        found = known[number] if known else md5(data)
        with self._data.open("r+b") as stream:
            stream.seek(self._reading.object.piece(number)[0])
            stream.write(data)
        with self._lock:
            with self._journal.open("a") as journal:
                journal.write(f"{number} {found}\n")
            self._md5s[number] = found
            last = len(self._md5s) == self._reading.pieces()
        self._progress.add(len(data))
        if last:
            self._finish()

    def _finish(self) -> None:
        try:
            self._reading.check([self._md5s[n] for n in sorted(self._md5s)], self._whole)
        except StoreError:
            self._journal.unlink(missing_ok=True)
            raise
        if len(self._files) == 1 and self._files[0].size == self._reading.object.size:
            path = _place(self._reading, self._staging, self._files[0])
            path.parent.mkdir(parents=True, exist_ok=True)
            self._data.replace(path)
        else:
            self._split()
        self._data.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)

    def _split(self) -> None:
        with self._data.open("rb") as stream:
            for file in self._files:
                stream.seek(file.offset)
                _write(_place(self._reading, self._staging, file), self._staging, _blocks(stream, file.size))

    def _whole(self) -> str:
        with self._data.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _blocks(stream: BinaryIO, left: int) -> Iterator[bytes]:
    while left > 0 and (block := stream.read(min(left, _BLOCK))):
        left -= len(block)
        yield block
