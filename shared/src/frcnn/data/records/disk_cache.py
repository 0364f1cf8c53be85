"""Disk cache of records from S3, one small file each, shared by processes and limited in size.

The least recently used records are removed first. Each process reads through its own hard links, made by
`link`, so a record in use survives removal by another process.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from frcnn.data.records.tfrecord import is_whole_frame
from frcnn.paths import below
from frcnn.storage.cache_folder import private_part

# Fraction of the limit to free at once: each cleanup has to list all files.
SPARE = 0.1


class RecordCache:
    """Folder of cached records."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Opens the cache.

        Args:
            folder: Cache folder.
            limit: Size limit, bytes; records that are removed but still linked by a process are not counted.

        Raises:
            StoreError: The cache folder is not usable.
        """
        self._folder = private_part(folder, "records")
        self._limit = limit
        self._account = self._folder / ".bytes"
        self._lock = threading.Lock()

    def link(self, name: str, target: Path, fetch: Callable[[], bytes]) -> None:
        """Creates a hard link to a record and fetches the record first if it is not cached.

        Args:
            name: Relative path that identifies the content.
            target: Path of the link, on the same volume as the cache.
            fetch: Callable that returns the record as a frame.
        """
        path = below(self._folder, name)
        with contextlib.suppress(FileNotFoundError):
            os.link(path, target)
            if is_whole_frame(target.read_bytes()):
                os.utime(target)
                return
            target.unlink()
        data = fetch()
        path.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        own = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        os.link(target, own)
        own.replace(path)
        self._count(len(data))

    def _count(self, added: int) -> None:
        """Adds to the number of bytes in use and evicts records if the limit is exceeded."""
        with self._accounting() as account:
            used = int(account.read() or 0) + added
            if used > self._limit:
                used = self._make_room()
            account.seek(0)
            account.truncate()
            account.write(str(used))

    @contextlib.contextmanager
    def _accounting(self) -> Iterator[IO[str]]:
        with self._lock, self._account.open("a+") as account:
            fcntl.flock(account, fcntl.LOCK_EX)
            account.seek(0)
            yield account

    def _make_room(self) -> int:
        """Removes the least recently used records; returns the number of remaining bytes."""
        found = sorted(_records(self._folder))
        used = sum(size for _, size, _ in found)
        for _, size, path in found:
            if used <= self._limit * (1 - SPARE):
                break
            path.unlink(missing_ok=True)
            used -= size
        return used


def _records(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Yields time of last use, size and path of each record, except those being written."""
    for top, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                if not name.startswith("."):
                    facts = Path(top, name).stat()
                    yield facts.st_mtime_ns, facts.st_size, Path(top, name)
