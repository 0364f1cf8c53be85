"""Fetches objects into a folder aside, in pieces, several at a time; what is there is not fetched again.

Every byte is checked before a file gets its name: by the checksums of a manifest, or by what the server
calls the object, where that is a checksum (`checksums`).
"""

import dataclasses
import functools
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from frcnn.errors import StoreError
from frcnn.paths import below
from frcnn.storage.checksums import combined_etag, is_md5, md5
from frcnn.storage.faults import DamagedError
from frcnn.storage.manifest import Manifest, StoredFile, StoredObject
from frcnn.storage.transfer import Transfer
from frcnn.storage.transfer_progress import Meter

# A damaged piece is fetched so many times; what is damaged where it lies stays so.
ATTEMPTS = 3
_BLOCK = 1 << 20

Task = Callable[[], None]


def fetch(transfer: Transfer, manifest: Manifest, aside: Path, meter: Meter) -> None:
    """Brings all files of `manifest` into the folder `aside`, which may hold what a former run got.

    Raises:
        StoreError: Names the object, the reason and the remedy; `aside` then holds what has arrived.
    """
    files: dict[int, list[StoredFile]] = {}
    for file in manifest.files:
        files.setdefault(file.object, []).append(file)
    aside.mkdir(parents=True, exist_ok=True)
    transfer.run(
        task
        for number, stored in enumerate(manifest.objects)
        for task in _tasks(Reading.of(transfer, stored), files.get(number, []), aside, meter)
    )


@dataclasses.dataclass(frozen=True)
class Reading:
    """An object that is read piece by piece, each checked if its checksum is known.

    Attributes:
        object: What it is.
        where: Its address.
        get: Gives the bytes at an offset, of a length above 0.
    """

    object: StoredObject
    where: str
    get: Callable[[int, int], bytes]

    @classmethod
    def of(cls, transfer: Transfer, stored: StoredObject) -> "Reading":
        """By requests of a transfer."""
        keeper = transfer.keeper

        def get(offset: int, length: int) -> bytes:
            return transfer.retries(lambda: keeper.read(stored.name, offset, length, stored.etag))

        return cls(stored, keeper.where(stored.name), get)

    def pieces(self) -> int:
        """How many there are."""
        return -(-self.object.size // self.object.piece_bytes) if self.object.size else 1

    def read(self, number: int) -> bytes:
        """A piece.

        Raises:
            StoreError: It cannot be had, or is damaged where it lies.
        """
        offset, length = self.object.piece(number)
        expected = self.object.md5s[number] if self.object.md5s else None
        for _ in range(ATTEMPTS):
            data = self.get(offset, length) if length else b""
            if expected is None or md5(data) == expected:
                return data
        raise self.damaged()

    def check(self, md5s: list[str], whole: Callable[[], str]) -> None:
        """Compares with the etag, if pieces have no checksums of their own and the etag is one.

        Args:
            md5s: Of the pieces.
            whole: Gives the checksum of the whole object.
        """
        etag = self.object.etag
        if self.object.md5s is not None or not is_md5(etag):
            return
        if "-" not in etag:
            found = md5s[0] if len(md5s) == 1 else whole()
        elif int(etag.partition("-")[2]) == len(md5s):
            found = combined_etag(md5s)
        else:
            return  # made of parts of a size that the server does not tell
        if found != etag:
            raise self.damaged()

    def damaged(self) -> DamagedError:
        """The error of an object that is not what was published."""
        return DamagedError(
            f"{self.where}: damaged (its checksum is not the published one); publish it again"
        )


def _tasks(reading: Reading, files: list[StoredFile], aside: Path, meter: Meter) -> Iterator[Task]:
    if all(_is_there(_place(reading, aside, file), file.size) for file in files):
        meter.add(reading.object.size, skipped=True)
    elif reading.pieces() == 1:
        yield functools.partial(_fetch_whole, reading, files, aside, meter)
    else:
        yield from _Pieces(reading, files, aside, meter).tasks()


def _is_there(path: Path, size: int) -> bool:
    """Files get their names once they are checked."""
    return path.is_file() and path.stat().st_size == size


def _fetch_whole(reading: Reading, files: list[StoredFile], aside: Path, meter: Meter) -> None:
    data = reading.read(0)
    reading.check([md5(data)] if reading.object.md5s is None else [], lambda: "")
    for file in files:
        content = memoryview(data)[file.offset : file.offset + file.size]
        _write(_place(reading, aside, file), aside, [content])
    meter.add(len(data))


def _place(reading: Reading, aside: Path, file: StoredFile) -> Path:
    return below(aside, file.path, reading.where)


def _write(path: Path, aside: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Writes a file under a name of its own that a run which was cut off finds again, then renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"file {path.relative_to(aside)}".encode(errors="surrogateescape")).hexdigest()
    partial = aside / f".{name[:16]}.partial"
    with partial.open("wb") as stream:
        stream.writelines(chunks)
    partial.replace(path)


class _Pieces:
    """One object of several pieces, which are written to a partial file; whoever gets the last one ends it.

    A journal beside it lists the pieces that are there, with their checksums, so that they can be told again.
    """

    def __init__(self, reading: Reading, files: list[StoredFile], aside: Path, meter: Meter) -> None:
        self._reading, self._files, self._aside, self._meter = reading, files, aside, meter
        name = hashlib.sha256(reading.object.name.encode()).hexdigest()[:16]
        self._data = aside / f".{name}.partial"
        self._journal = aside / f".{name}.journal"
        self._lock = threading.Lock()
        self._md5s: dict[int, str] = {}

    def tasks(self) -> Iterator[Task]:
        """One for each piece that is not there."""
        self._recall()
        for number in self._md5s:
            self._meter.add(self._reading.object.piece(number)[1], skipped=True)
        missing = [n for n in range(self._reading.pieces()) if n not in self._md5s]
        with self._data.open("ab") as stream:
            stream.truncate(self._reading.object.size)
        if not missing:
            yield self._finish
        for number in missing:
            yield functools.partial(self._fetch, number)

    def _recall(self) -> None:
        """Keeps of the journal what the partial file really holds."""
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
        self._meter.add(len(data))
        if last:
            self._finish()

    def _finish(self) -> None:
        try:
            self._reading.check([self._md5s[n] for n in sorted(self._md5s)], self._whole)
        except StoreError:
            self._journal.unlink(missing_ok=True)
            raise
        if len(self._files) == 1 and self._files[0].size == self._reading.object.size:
            path = _place(self._reading, self._aside, self._files[0])
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
                _write(_place(self._reading, self._aside, file), self._aside, _blocks(stream, file.size))

    def _whole(self) -> str:
        with self._data.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _blocks(stream: BinaryIO, left: int) -> Iterator[bytes]:
    while left > 0 and (block := stream.read(min(left, _BLOCK))):
        left -= len(block)
        yield block


def read_all(reading: Reading) -> bytes:
    """All of a small object, checked.

    Raises:
        StoreError: It is missing or damaged.
    """
    pieces = [reading.read(number) for number in range(reading.pieces())]
    whole = b"".join(pieces)
    reading.check([md5(piece) for piece in pieces], lambda: md5(whole))
    return whole


def verify(reading: Reading, meter: Meter) -> None:
    """Reads a whole object and compares it with its checksums.

    Raises:
        StoreError: It is missing or damaged.
    """
    whole = hashlib.md5(usedforsecurity=False)
    md5s = []
    for number in range(reading.pieces()):
        data = reading.read(number)
        if reading.object.md5s is None:
            md5s.append(md5(data))
            whole.update(data)
        meter.add(len(data))
    reading.check(md5s, whole.hexdigest)


def put_in_place(aside: Path, folder: Path) -> None:
    """Gives the finished folder its name; `folder` is not there, or empty."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside.replace(folder)
