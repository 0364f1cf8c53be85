"""Records of files on S3, one small file each, in a folder that several processes share, up to a limit.

What was used longest ago goes first. Each process reads by names of its own (hard links, made by `give`), so
that what it is about to use stays, whoever makes room.
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

# Making room takes a look at all files; it is done for this part of the limit at once.
SPARE = 0.1


class RecordCache:
    """A folder of records."""

    def __init__(self, folder: Path, limit: int) -> None:
        """`limit` in bytes; links that processes hold on to come on top."""
        self._folder = private_part(folder, "records")
        self._limit = limit
        self._account = self._folder / ".bytes"
        self._lock = threading.Lock()

    def give(self, name: str, link: Path, fetch: Callable[[], bytes]) -> None:
        """Makes `link` a name of record `name`, which `fetch` gets if it is not here.

        Args:
            name: Relative path; of these contents and no others.
            link: On the same volume as the cache.
            fetch: Gives the record with its head and checksums.
        """
        path = below(self._folder, name)
        with contextlib.suppress(FileNotFoundError):
            os.link(path, link)
            if is_whole_frame(link.read_bytes()):
                os.utime(link)
                return
            link.unlink()
        data = fetch()
        path.parent.mkdir(parents=True, exist_ok=True)
        link.write_bytes(data)
        own = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        os.link(link, own)
        own.replace(path)
        self._count(len(data))

    def _count(self, added: int) -> None:
        """Adds to the account, and makes room if the limit is passed."""
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
        """Removes what was used longest ago; returns how many bytes are left."""
        found = sorted(_records(self._folder))
        used = sum(size for _, size, _ in found)
        for _, size, path in found:
            if used <= self._limit * (1 - SPARE):
                break
            path.unlink(missing_ok=True)
            used -= size
        return used


def _records(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Time of last use, size and path of each record, without those that are being written."""
    for top, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                if not name.startswith("."):
                    facts = Path(top, name).stat()
                    yield facts.st_mtime_ns, facts.st_size, Path(top, name)
