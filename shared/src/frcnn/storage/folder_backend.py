"""A folder on a disk or a shared volume, as a keeper."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from frcnn.errors import StoreError
from frcnn.files import atomic_path
from frcnn.storage import checksums
from frcnn.storage.backend import Entry, Upload
from frcnn.storage.faults import ChangedError, MissingError, PassingFault

_PARTIAL = ".partial-"


class FolderKeeper:
    """The files below one folder. A file's version is its size and time of change."""

    def __init__(self, root: Path) -> None:
        """`root` need not be there yet."""
        self._root = root

    def where(self, name: str = "") -> str:
        """The path."""
        return str(self._root / name)

    def check(self) -> None:
        """Nothing has to be there."""

    def entries(self, below: str = "") -> list[Entry]:
        """All files, links to files too."""
        top = self._root / below
        if below and not top.is_dir():
            return []
        found = []
        for folder, _, names in os.walk(top):
            for name in names:
                path = Path(folder, name)
                if path.is_file() and not name.startswith(_PARTIAL):
                    relative = path.relative_to(self._root).as_posix()
                    found.append(Entry(relative, path.stat().st_size, _version(path)))
        return sorted(found, key=lambda entry: entry.name)

    def stat(self, name: str) -> Entry:
        """Of the file."""
        path = self._root / name
        if not path.is_file():
            raise MissingError(f"{path}: no such file; check the path")
        return Entry(name, path.stat().st_size, _version(path))

    def read(self, name: str, offset: int, length: int, etag: str = "") -> bytes:
        """A stretch of the file."""
        path = self._root / name
        if not path.is_file():
            raise MissingError(f"{path}: no such file; check the path")
        if etag and _version(path) != etag:
            raise ChangedError(f"{path}: was replaced while it was being read; run again for the new one")
        with path.open("rb") as stream:
            stream.seek(offset)
            data = stream.read(length)
        if len(data) != length:
            raise StoreError(f"{path}: shorter than it should be; publish it again")
        return data

    def write(self, name: str, data: bytes, md5: str) -> None:
        """Aside, then renamed."""
        _check(self.where(name), data, md5)
        with atomic_path(self._root / name) as temporary:
            temporary.write_bytes(data)

    def remove(self, names: Iterable[str]) -> None:
        """Files, and folders that become empty."""
        for name in names:
            path = self._root / name
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self._root or any(folder.iterdir()):
                    break
                folder.rmdir()

    def begin(self, name: str) -> Upload:
        """A file beside the final one. What a former run left there is written again."""
        path = self._root / name
        aside = path.with_name(f"{_PARTIAL}{path.name}")
        aside.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(b"")
        return Upload(str(aside), {})

    def part(self, name: str, upload: Upload, number: int, offset: int, data: bytes, md5: str) -> None:
        """Written where it belongs."""
        _check(self.where(name), data, md5)
        with Path(upload.id).open("r+b") as stream:
            stream.seek(offset)
            stream.write(data)
        upload.parts[number] = md5

    def complete(self, name: str, upload: Upload, md5s: Sequence[str]) -> None:
        """Renamed."""
        Path(upload.id).replace(self._root / name)

    def part_bytes(self, entry: Entry) -> int:
        """Not known."""
        return 0


def _check(where: str, data: bytes, md5: str) -> None:
    if checksums.md5(data) != md5:
        raise PassingFault(f"{where}: not the bytes that were meant", "look at the disk it is read from")


def _version(path: Path) -> str:
    facts = path.stat()
    return f"{facts.st_size}:{facts.st_mtime_ns}"
