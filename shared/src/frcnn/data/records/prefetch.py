"""Brings records from S3 to this machine's disk ahead of their use.

The graph that makes batches reads each record as a small file, whose name it knows, and waits until the
file is there (`record_reader`); it tells which records it waits for and which it has read. Threads here fetch
first what is waited for, then what the order of the epoch says will be next. What was read loses its name
here, and may stay in the cache (docs/storage.md).
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
from frcnn.distributed.world import place
from frcnn.errors import StoreError
from frcnn.files import is_disk_full
from frcnn.storage.cache_folder import FOLDER_VARIABLE, private_part
from frcnn.storage.local_copy import LIMIT_VARIABLE, CacheSettings

log = logging.getLogger(__name__)

# Kinds of messages from the graph.
WAITING, DONE = "waiting", "done"
# A record that begins so is none: the storage has failed, and the rest says how.
FAILED = b"\x00frcnn failed: "
DAMAGED = b"\x00frcnn damaged"
# How the failure of a pipeline begins that waited for a record in vain; the reason follows.
STREAM_FAILED = "records cannot be had from S3:"
# How much is planned ahead: bytes, and uses of records, since a small set is used again and again.
AHEAD_BYTES = 256 << 20
AHEAD_USES = 4096
ATTEMPTS = 3
# Records of one file are spread over folders of so many.
IN_A_FOLDER = 1000


class RecordStream:
    """The records on S3 that one pipeline of this process uses, by number."""

    def __init__(self, index: RecordIndex, settings: CacheSettings | None = None) -> None:
        """Nothing is fetched before the graph asks. `settings` say where the cache is and how large."""
        settings = settings or CacheSettings.from_environment()
        self._index = index
        self._cache = RecordCache(settings.folder, settings.limit)
        self.folder = _session(settings.folder)
        self.receiver = subscribe(self._told)
        self._firsts = _firsts(index)
        self._remote = {n: file for n, file in enumerate(index.files) if isinstance(file, RemoteFile)}
        self._names = {n: _name(file) for n, file in self._remote.items()}
        share = settings.limit // (8 * place().local_size)
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
        """What the graph is going to read, in this order; asked for again when it begins anew."""
        with self._changed:
            self._make_plan, self._plan = plan, None

    def _told(self, kind: str, number: int) -> None:
        with self._changed:
            if kind == DONE:
                self._release(number)
            elif number not in self._wanted:
                # The graph is ahead of the plan, begins anew, or needs a stand-in for a broken image.
                self._before_plan[number] += 1
                if self._want(number):
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
            threading.Thread(target=self._work, name="records", daemon=True).start()

    def _work(self) -> None:
        while True:
            number = self._next()
            try:
                self._bring(number)
            except Exception as error:
                self._fail(number, error)

    def _next(self) -> int:
        """The number of the record to fetch; waits for one."""
        with self._changed:
            while True:
                if self._urgent:
                    return self._urgent.popleft()
                number = self._planned()
                if number is not None:
                    return number
                self._changed.wait()

    def _planned(self) -> int | None:
        """The next record of the plan that is not under way, if there is room for it."""
        while self._plan is not None and self._ahead < self._ahead_limit and self._uses < AHEAD_USES:
            number = next(self._plan, None)
            if number is None:
                self._plan = None
            elif self._before_plan[number]:
                self._before_plan[number] -= 1
            elif self._want(number):
                return number
        return None

    def _want(self, number: int) -> bool:
        """Counts one more use of a record; whether it has to be fetched for that."""
        self._wanted[number] += 1
        self._uses += 1
        if self._wanted[number] > 1 or not self._is_remote(number):
            return False
        self._ahead += self._index.extent(number)[1]
        return True

    def _bring(self, number: int) -> None:
        if self.failure is not None:
            raise self.failure
        file_number = int(self._index.file_of[number])
        within = number - self._firsts[file_number]
        name = f"{self._names[file_number]}/{within // IN_A_FOLDER}/{within}"
        aside = self.folder / f".{number}"
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()
        self._cache.give(name, aside, lambda: self._fetch(number))
        aside.replace(self.folder / str(number))
        with self._changed:
            if number not in self._wanted:
                (self.folder / str(number)).unlink(missing_ok=True)

    def _fetch(self, number: int) -> bytes:
        """The record with its head; one that is damaged where it lies becomes one that nobody can read."""
        file = self._remote[int(self._index.file_of[number])]
        for _ in range(ATTEMPTS):
            data = file.read(*self._index.extent(number))
            if is_whole_frame(data):
                return data
        return frame(DAMAGED)

    def _trouble(self, error: Exception) -> str:
        if is_disk_full(error):
            return f"disk full in {self.folder}; lower {LIMIT_VARIABLE}, or set {FOLDER_VARIABLE} elsewhere"
        return f"{self.folder}: records cannot be kept there ({error})"

    def _fail(self, number: int, error: Exception) -> None:
        if self.failure is None:
            self.failure = error if isinstance(error, StoreError) else StoreError(self._trouble(error))
            log.error("%s", self.failure)
        with contextlib.suppress(OSError):
            aside = self.folder / f".{number}"
            aside.write_bytes(frame(FAILED + str(self.failure).encode()))
            aside.replace(self.folder / str(number))


def _firsts(index: RecordIndex) -> list[int]:
    """Number of the first record of each file."""
    return [0, *np.cumsum(index.counts).tolist()]


def _name(file: RemoteFile) -> str:
    """What the records of these contents are called in the cache."""
    facts = (file.uri, file.object, file.etag, str(file.offset), str(file.size))
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:20]


def _session(cache: Path) -> Path:
    """A folder for this pipeline's records, gone when the process ends; clears up after dead processes."""
    above = private_part(cache, "sessions")
    for lock in above.glob("*.lock"):
        with contextlib.suppress(OSError), lock.open("r+") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink()
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=above))
    # Never closed: the system lets go of it when the process ends, however that happens.
    held = os.open(folder.with_name(f"{folder.name}.lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_SH)
    atexit.register(_leave, folder)
    return folder


def _leave(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
