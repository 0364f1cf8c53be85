"""Groups the files of a folder into the objects of an artifact."""

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path

from frcnn.errors import StoreError, UsageError
from frcnn.regular_file import walk
from frcnn.storage import threads as workers
from frcnn.storage.checksums import md5
from frcnn.storage.manifest import Manifest, StoredFile, StoredObject, published

MIB = 1 << 20
PIECE_BYTES = 16 * MIB
# Maximum number of parts of an object on S3.
MAX_PIECES = 10_000
# A request takes as long as sending a few hundred kB, so smaller files share objects.
PACKED_BELOW = MIB
PACK_BYTES = 4 * PIECE_BYTES


@dataclasses.dataclass(frozen=True)
class Source:
    """Content of an object, as a sequence of local files.

    Attributes:
        parts: Path and size (bytes) of each file, in order.
    """

    parts: tuple[tuple[Path, int], ...]

    @property
    def size(self) -> int:
        """Size in bytes."""
        return sum(size for _, size in self.parts)

    def read(self, offset: int, length: int) -> bytes:
        """Reads a range.

        Args:
            offset: First byte.
            length: Number of bytes.

        Returns:
            The bytes.

        Raises:
            StoreError: A file cannot be read, or is shorter than before.
        """
        chunks = []
        for path, size in self.parts:
            if offset < size and length > 0:
                chunk = _read(path, offset, min(length, size - offset))
                chunks.append(chunk)
                length -= len(chunk)
            offset = max(0, offset - size)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def pieces(self) -> tuple[int, list[tuple[int, int]]]:
        """Divides the content into pieces.

        Returns:
            Size of each piece but the last, and offset and length of every piece, bytes. An empty object has
            one.
        """
        least = -(-self.size // MAX_PIECES)
        piece = max(PIECE_BYTES, -(-least // MIB) * MIB)
        offsets = range(0, max(self.size, 1), piece)
        return piece, [(offset, min(piece, self.size - offset)) for offset in offsets]


def plan(folder: Path, threads: int) -> tuple[Manifest, tuple[Source, ...]]:
    """Plans the artifact of a folder. Reads every file once and follows links to files.

    Args:
        folder: Folder to publish.
        threads: Number of threads that compute checksums.

    Returns:
        The manifest, and the source of each of its objects.

    Raises:
        UsageError: The folder is missing, empty, or contains something that is neither a file nor a folder.
        StoreError: A file cannot be read, or becomes shorter meanwhile.
    """
    grouped = list(_grouped(folder))
    sources = tuple(Source(tuple((path, size) for _, path, size in group)) for _, group in grouped)
    sums: list[list[str]] = [[""] * len(source.pieces()[1]) for source in sources]

    def summed(source: Source, into: list[str], number: int, offset: int, length: int) -> None:
        into[number] = md5(source.read(offset, length))

    tasks = (
        lambda source=source, into=into, number=number, place=place: summed(source, into, number, *place)
        for source, into in zip(sources, sums, strict=True)
        for number, place in enumerate(source.pieces()[1])
    )
    workers.run(tasks, threads, threading.Event())
    objects = tuple(
        StoredObject(name, source.size, source.pieces()[0], tuple(each))
        for (name, _), source, each in zip(grouped, sources, sums, strict=True)
    )
    files = tuple(_files(grouped))
    return published(objects, files), sources


_File = tuple[str, Path, int]


def _grouped(folder: Path) -> Iterator[tuple[str, list[_File]]]:
    """Yields the name and the files of each object."""
    pack: list[_File] = []
    packs = filled = 0
    for name, path in _walk(folder):
        size = path.stat().st_size
        if size >= PACKED_BELOW:
            yield f"files/{name}", [(name, path, size)]
            continue
        if filled + size > PACK_BYTES:
            yield f"packs/{packs:05d}", pack
            pack, packs, filled = [], packs + 1, 0
        pack.append((name, path, size))
        filled += size
    if pack:
        yield f"packs/{packs:05d}", pack


def _files(grouped: list[tuple[str, list[_File]]]) -> Iterator[StoredFile]:
    for number, (_, group) in enumerate(grouped):
        offset = 0
        for name, _, size in group:
            yield StoredFile(name, number, offset, size)
            offset += size


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yields relative name and path of each file, in sorted order."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; expected the folder to publish")
    found: list[tuple[str, Path]] = []
    for top, folders, names in walk(folder):
        for name in (*names, *(each for each in folders if Path(top, each).is_symlink())):
            path = Path(top, name)
            if not path.is_file():
                kind = "a link to a folder" if path.is_dir() else "neither a file nor a folder"
                raise UsageError(f"{path}: {kind}; remove it or publish another folder.")
            relative = path.relative_to(folder).as_posix()
            if not relative.isprintable():
                raise UsageError(f"{path}: unprintable characters in the name. Rename the file.")
            found.append((relative, path))
    if not found:
        raise UsageError(f"{folder} contains no files; expected a folder with files to publish.")
    yield from sorted(found)


def _read(path: Path, offset: int, length: int) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            data = stream.read(length)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) != length:
        raise StoreError(
            f"{path}: became shorter while being read. Publish it again when nothing writes to it."
        )
    return data
