"""Storage backend for a folder on a disk or a shared volume."""

import contextlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from frcnn import paths
from frcnn.console.foreign_text import printable
from frcnn.errors import StoreError
from frcnn.locks import exclusive
from frcnn.regular_file import walk
from frcnn.storage import checksums
from frcnn.storage.backend import Entry, Upload
from frcnn.storage.faults import ChangedError, MissingError, TransientError, disk_full_named

log = logging.getLogger(__name__)

# Prefix of incomplete files and of the folders in which they are written.
_PARTIAL = ".partial-"
_LOCK = ".frcnn.lock"
# Age in seconds after which incomplete files of killed processes are removed.
_STALE = 86400.0
_NAMES_SHOWN = 5


class FolderBackend:
    """Storage backend for one folder. The version of a file is its size and modification time."""

    lists_checksums = False

    def __init__(self, root: Path) -> None:
        """Creates a backend.

        Args:
            root: The folder; need not exist yet.
        """
        self._root = root
        self._stale: set[Path] = set()
        self._unfinished: set[Path] = set()
        self._left_out: set[Path] = set()

    def where(self, name: str = "") -> str:
        """Returns the path of a file."""
        return str(self._root / name)

    def check(self) -> None:
        """Does nothing: no folder has to exist."""

    def entries(self, below: str = "") -> list[Entry]:
        """Lists all files and links to files; notes leftovers of killed processes for `remove`.

        Links to folders are followed if all files are listed, since data sets on volumes may consist of them.
        A warning names what is left out: broken links, pipes, sockets and devices.
        """
        top = self._source(below) if below else self._root
        if below and not top.is_dir():
            return []
        found: list[Entry] = []
        known = set(self._left_out)
        for folder, folders, names in walk(top):
            self._stale |= {Path(folder, name) for name in (*folders, *names) if _is_stale(folder, name)}
            folders[:] = [name for name in folders if not name.startswith(_PARTIAL)]
            found += self._files(folder, names)
            for link in (Path(folder, name) for name in folders if not below):
                if link.is_symlink():
                    found += self._behind(link, {_place(self._root)})
        self._warn_of(self._left_out - known)
        return sorted(found, key=lambda entry: entry.name)

    def _files(self, folder: str, names: Iterable[str]) -> Iterator[Entry]:
        for name in names:
            path = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                if name.startswith(_PARTIAL) or name == _LOCK:
                    continue
                if path.is_file():
                    relative = path.relative_to(self._root).as_posix()
                    yield Entry(relative, path.stat().st_size, _version(path))
                elif os.path.lexists(path):
                    self._left_out.add(path)

    def _warn_of(self, left_out: set[Path]) -> None:
        if left_out:
            log.warning(
                "%s: leaving out %d broken links or other entries that are not files: %s%s",
                printable(self._root, None),
                len(left_out),
                ", ".join(printable(path, None) for path in sorted(left_out)[:_NAMES_SHOWN]),
                ", ..." if len(left_out) > _NAMES_SHOWN else "",
            )

    def _behind(self, link: Path, seen: set[tuple[int, int]]) -> Iterator[Entry]:
        """Yields the files behind a link to a folder, each folder once, since links may form a loop."""
        for folder, folders, names in walk(link, follow_links=True):
            place = _place(Path(folder))
            if place in seen:
                folders.clear()
                continue
            seen.add(place)
            yield from self._files(folder, names)

    def stat(self, name: str) -> Entry:
        """Returns size and version of a file."""
        path = self._source(name)
        try:
            if path.is_file():
                return Entry(name, path.stat().st_size, _version(path))
        except FileNotFoundError:
            pass
        raise MissingError(f"{path}: no such file; check the path")

    def read(self, name: str, offset: int, length: int, etag: str = "") -> bytes:
        """Reads a range of a file."""
        path = self._source(name)
        if not path.is_file():
            raise MissingError(f"{path}: no such file; check the path")
        with _missing_as_ours(path), path.open("rb") as stream:
            # Checks the open file, since another file may take its name at any time.
            if etag and _facts(os.fstat(stream.fileno())) != etag:
                raise ChangedError(f"{path}: was replaced while being read. Run again to read the new one.")
            stream.seek(offset)
            data = stream.read(length)
        if len(data) != length:
            raise StoreError(f"{path}: found {len(data)} of {length} bytes. Publish it again.")
        return data

    def write(self, name: str, data: bytes, md5: str) -> None:
        """Writes to a temporary file, then renames it."""
        _check(self.where(name), data, md5)
        path = self._target(name)
        with disk_full_named(self.where(name)), _staging(path) as temporary:
            temporary.write_bytes(data)
            _finish(temporary, path)

    def swap(self, name: str, data: bytes, md5: str, previous: Entry | None, previous_md5: str) -> None:
        """Replaces a file under a lock; compares the content, not the modification time."""
        path = self._target(name)
        with exclusive(self._root / _LOCK):
            found = checksums.md5(path.read_bytes()) if path.is_file() else ""
            if found != previous_md5:
                raise ChangedError(f"{path}: was replaced by another process in the meantime. Run again.")
            self.write(name, data, md5)

    def remove(self, names: Iterable[str]) -> None:
        """Removes files, folders that become empty, and incomplete files of killed processes."""
        for path in self._stale:
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name in names:
            path = self._target(name)
            path.unlink(missing_ok=True)
            # The outermost folder stays: other processes may be about to create files in it.
            for folder in path.relative_to(self._root).parents[:-2]:
                try:
                    (self._root / folder).rmdir()
                except OSError:
                    break  # it is not empty, or another process removed it

    def begin(self, name: str) -> Upload:
        """Creates a temporary file next to the final one; interrupted uploads are not resumed."""
        path = self._target(name)
        with disk_full_named(self.where(name)):
            path.parent.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=path.parent)) / f"{_PARTIAL}{path.name}"
        self._unfinished.add(staging.parent)
        staging.write_bytes(b"")
        return Upload(str(staging), {})

    def part(self, name: str, upload: Upload, number: int, offset: int, data: bytes, md5: str) -> None:
        """Writes the part at its offset."""
        _check(self.where(name), data, md5)
        with disk_full_named(self.where(name)), Path(upload.id).open("r+b") as stream:
            stream.seek(offset)
            stream.write(data)
        upload.parts[number] = md5

    def complete(self, name: str, upload: Upload, md5s: Sequence[str]) -> None:
        """Renames the temporary file."""
        staging = Path(upload.id)
        with disk_full_named(self.where(name)):
            _finish(staging, self._target(name))
        shutil.rmtree(staging.parent, ignore_errors=True)
        self._unfinished.discard(staging.parent)

    def abandon(self) -> None:
        """Removes the temporary files of incomplete uploads."""
        while self._unfinished:
            shutil.rmtree(self._unfinished.pop(), ignore_errors=True)

    def part_bytes(self, entry: Entry) -> int:
        """Returns 0: files are not made of parts."""
        return 0

    def _target(self, name: str) -> Path:
        """Returns a path to write or remove; refuses links that lead out of the folder."""
        return paths.below(self._root, name, self.where())

    def _source(self, name: str) -> Path:
        """Returns a path to read; follows links, since data sets on volumes may consist of them."""
        return paths.below(self._root, name, self.where(), follow_links=True)


@contextlib.contextmanager
def _staging(path: Path) -> Iterator[Path]:
    """Yields a path in a new temporary folder next to `path`, which listings omit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=path.parent))
    try:
        yield folder / f"{_PARTIAL}{path.name}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _finish(temporary: Path, path: Path) -> None:
    """Flushes a file to the disk, then gives it its final name."""
    with temporary.open("rb") as handle:
        os.fsync(handle.fileno())
    temporary.replace(path)


def _place(folder: Path) -> tuple[int, int]:
    """Returns what identifies a folder, whichever links lead to it."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_stale(folder: str, name: str) -> bool:
    try:
        return name.startswith(_PARTIAL) and time.time() - Path(folder, name).stat().st_mtime > _STALE
    except OSError:
        return False


@contextlib.contextmanager
def _missing_as_ours(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise MissingError(f"{path}: no such file; check the path") from error


def _check(where: str, data: bytes, md5: str) -> None:
    if checksums.md5(data) != md5:
        raise TransientError(f"{where}: the bytes to write have changed", "check the source disk for errors")


def _version(path: Path) -> str:
    return _facts(path.stat())


def _facts(facts: os.stat_result) -> str:
    return f"{facts.st_size}:{facts.st_mtime_ns}"
