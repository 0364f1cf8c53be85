"""Prefetches records from S3 to the local disk.

The graph that makes batches reads each record as a small file with a known name and waits until the
file exists (`record_reader`). It reports which records it waits for and which it has read. Threads here fetch
awaited records first, then the next ones in epoch order. Files of records that were read are deleted;
copies may stay in the cache (docs/storage.md).
"""

import atexit
import collections
import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from frcnn.data.records.disk_cache import RecordCache
from frcnn.data.records.files import RemoteFile
from frcnn.data.records.graph_messages import subscribe
from frcnn.data.records.index import RecordIndex
from frcnn.data.records.tfrecord import frame, is_whole_frame
from frcnn.distributed.world import rank_info
from frcnn.errors import StoreError
from frcnn.files import is_disk_full
from frcnn.storage.cache_folder import FOLDER_VARIABLE, private_part
from frcnn.storage.local_copy import LIMIT_VARIABLE, CacheSettings

log = logging.getLogger(__name__)

# Kinds of messages from the graph.
WAITING, DONE = "waiting", "done"
# Start of a placeholder payload written when the storage failed; the reason follows.
FAILED = b"\x00frcnn failed: "
DAMAGED = b"\x00frcnn damaged"
# Start of the error of a pipeline whose record could not be fetched; the reason follows.
STREAM_FAILED = "could not read records from S3:"
# Limits of prefetching: bytes, and uses of records, since a small set is read many times.
AHEAD_BYTES = 256 << 20
AHEAD_USES = 4096
ATTEMPTS = 3
# Number of cached records per folder.
IN_A_FOLDER = 1000


class RecordStream:
    """Records on S3 that one pipeline of this process reads, by number."""

    def __init__(self, index: RecordIndex, settings: CacheSettings | None = None) -> None:
        """Prepares the cache and a session folder.

        Fetching starts with the graph's first request.

        Args:
            index: Records; at least one file is on S3.
            settings: Folder and size limit of the cache; by default from the environment.

        Raises:
            StoreError: The cache folder is not usable.
        """
        settings = settings or CacheSettings.from_environment()
        self._index = index
        self._cache = RecordCache(settings.folder, settings.limit)
        self.folder = _session(settings.folder)
        self.receiver = subscribe(self._on_message)
        self._firsts = _firsts(index)
        self._remote = {n: file for n, file in enumerate(index.files) if isinstance(file, RemoteFile)}
        self._names = {n: _name(file) for n, file in self._remote.items()}
        share = settings.limit // (8 * rank_info().local_size)
        self._ahead_limit = min(AHEAD_BYTES, share)
        self._threads = max(file.transfer.threads for file in self._remote.values())
        self._changed = threading.Condition()
        self._wanted: collections.Counter[int] = collections.Counter()
        self._urgent: collections.deque[int] = collections.deque()
        self._before_plan: collections.Counter[int] = collections.Counter()
        self._ahead = self._uses = 0
        self._make_plan: Callable[[], Iterator[int]] = lambda: iter(())
        self._plan: Iterator[int] | None = None
        self._running = False
        self.failure: StoreError | None = None

    def follow(self, plan: Callable[[], Iterator[int]]) -> None:
        """Sets the order in which the graph will read the records.

        Args:
            plan: Callable that returns a new iterator over record numbers; called again whenever the graph
                starts over.
        """
        with self._changed:
            self._make_plan, self._plan = plan, None

    def _on_message(self, kind: str, number: int) -> None:
        with self._changed:
            if kind == DONE:
                self._release(number)
            elif number not in self._wanted:
                # The graph is ahead of the plan, starts over, or needs a replacement for a broken image.
                self._before_plan[number] += 1
                if self._add_use(number):
                    self._urgent.append(number)
                self._plan = self._make_plan() if self._plan is None else self._plan
            if not self._running:
                self._start()
            self._changed.notify_all()

    def _is_remote(self, number: int) -> bool:
        return int(self._index.file_of[number]) in self._remote

    def _release(self, number: int) -> None:
        if number not in self._wanted:
            return
        self._wanted[number] -= 1
        self._uses -= 1
        if self._wanted[number]:
            return
        del self._wanted[number]
        if self._is_remote(number):
            self._ahead -= self._index.extent(number)[1]
            (self.folder / str(number)).unlink(missing_ok=True)

    def _start(self) -> None:
        self._running = True
        for _ in range(self._threads):
            threading.Thread(target=self._run_thread, name="records", daemon=True).start()

    def _run_thread(self) -> None:
        while True:
            number = self._next()
            try:
                self._provide(number)
            except Exception as error:
                self._fail(number, error)

    def _next(self) -> int:
        """Returns the number of the record to fetch next; waits until there is one."""
        with self._changed:
            while True:
                if self._urgent:
                    return self._urgent.popleft()
                number = self._planned()
                if number is not None:
                    return number
                self._changed.wait()

    def _planned(self) -> int | None:
        """Returns the next planned record to fetch, if the prefetch limits allow it."""
        while self._plan is not None and self._ahead < self._ahead_limit and self._uses < AHEAD_USES:
            number = next(self._plan, None)
            if number is None:
                self._plan = None
            elif self._before_plan[number]:
                self._before_plan[number] -= 1
            elif self._add_use(number):
                return number
        return None

    def _add_use(self, number: int) -> bool:
        """Counts another use of a record; returns whether it has to be fetched."""
        self._wanted[number] += 1
        self._uses += 1
        if self._wanted[number] > 1 or not self._is_remote(number):
            return False
        self._ahead += self._index.extent(number)[1]
        return True

    def _provide(self, number: int) -> None:
        if self.failure is not None:
            raise self.failure
        file_number = int(self._index.file_of[number])
        within = number - self._firsts[file_number]
        name = f"{self._names[file_number]}/{within // IN_A_FOLDER}/{within}"
        staging = self.folder / f".{number}"
        with contextlib.suppress(FileNotFoundError):
            staging.unlink()
        self._cache.link(name, staging, lambda: self._fetch(number))
        staging.replace(self.folder / str(number))
        with self._changed:
            if number not in self._wanted:
                (self.folder / str(number)).unlink(missing_ok=True)

    def _fetch(self, number: int) -> bytes:
        """Fetches a record's frame; returns a placeholder frame if the record is damaged on S3."""
        file = self._remote[int(self._index.file_of[number])]
        for _ in range(ATTEMPTS):
            data = file.read(*self._index.extent(number))
            if is_whole_frame(data):
                return data
        return frame(DAMAGED)

    def _message(self, error: Exception) -> str:
        if is_disk_full(error):
            return f"{self.folder}: disk full. Lower {LIMIT_VARIABLE} or point {FOLDER_VARIABLE} elsewhere."
        return f"{self.folder}: cannot store records there ({error})"

    def _fail(self, number: int, error: Exception) -> None:
        if _exiting.is_set():
            return  # nobody reads the record any more, and its folder is gone
        if self.failure is None:
            self.failure = error if isinstance(error, StoreError) else StoreError(self._message(error))
            log.error("%s", self.failure)
        with contextlib.suppress(OSError):
            staging = self.folder / f".{number}"
            staging.write_bytes(frame(FAILED + str(self.failure).encode()))
            staging.replace(self.folder / str(number))


def _firsts(index: RecordIndex) -> list[int]:
    """Returns the number of the first record of each file, and the total count at the end."""
    return [0, *np.cumsum(index.counts).tolist()]


def _name(file: RemoteFile) -> str:
    """Returns the cache folder name of a file; it changes whenever the content may have changed."""
    facts = (file.uri, file.object, file.etag, str(file.offset), str(file.size))
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:20]


def _session(cache: Path) -> Path:
    """Creates a folder that is deleted at exit; also deletes folders of dead processes."""
    above = private_part(cache, "sessions")
    for lock in above.glob("*.lock"):
        with contextlib.suppress(OSError), lock.open("r+") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink()
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=above))
    # Never closed: the system releases the lock when the process ends, even if it is killed.
    descriptor = os.open(folder.with_name(f"{folder.name}.lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    atexit.register(_delete_session, folder)
    return folder


# Set when the process ends and deletes its sessions, while threads may still fetch records ahead.
_exiting = threading.Event()


def _delete_session(folder: Path) -> None:
    _exiting.set()
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
