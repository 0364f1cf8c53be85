"""Uploads objects: small ones in one request, large ones in parts, several requests at a time."""

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

from frcnn.errors import StoreError
from frcnn.storage.backend import Entry, Upload
from frcnn.storage.checksums import is_md5, md5
from frcnn.storage.faults import MissingError
from frcnn.storage.manifest import StoredObject
from frcnn.storage.packing import Source
from frcnn.storage.transfer import Transfer
from frcnn.storage.transfer_progress import TransferProgress

Task = Callable[[], None]


def send(
    transfer: Transfer,
    objects: Iterable[tuple[StoredObject, Source]],
    progress: TransferProgress,
    present: Mapping[str, Entry] | None = None,
) -> None:
    """Uploads missing objects; resumes interrupted uploads.

    Args:
        transfer: Backend and limits of the requests.
        objects: Objects with their checksums, each with the source of its bytes.
        progress: Progress display.
        present: Objects that already exist, by name; `None` for none.

    Raises:
        StoreError: A request failed, or a source changed. The message gives object, reason and advice.
    """
    try:
        transfer.run(
            task
            for wanted, source in objects
            for task in _tasks(transfer, wanted, source, (present or {}).get(wanted.name), progress)
        )
    except BaseException:
        transfer.backend.abandon()
        raise


def is_whole(entry: Entry | None, wanted: StoredObject) -> bool:
    """Checks whether an object is the expected one, by size and, if available, by checksum.

    Args:
        entry: Entry of the listing; `None` if the object is missing.
        wanted: Expected object with its checksums.
    """
    if entry is None or entry.size != wanted.size or wanted.md5s is None:
        return False
    if not is_md5(entry.etag):
        return True
    return entry.etag == wanted.expected_etag()


def _tasks(
    transfer: Transfer, wanted: StoredObject, source: Source, entry: Entry | None, progress: TransferProgress
) -> Iterator[Task]:
    if is_whole(entry, wanted):
        progress.add(wanted.size, skipped=True)
    elif len(wanted.md5s or ()) == 1:
        yield functools.partial(_put, transfer, wanted, source, progress)
    else:
        yield from _Parts(transfer, wanted, source, progress).tasks()


def _put(transfer: Transfer, wanted: StoredObject, source: Source, progress: TransferProgress) -> None:
    (expected,) = wanted.md5s or ("",)
    backend = transfer.backend
    transfer.retries(
        _Sending(source, 0, wanted.size, expected, lambda data: backend.write(wanted.name, data, expected))
    )
    progress.add(wanted.size)


class _Parts:
    """Object that is uploaded in parts; the thread that sends the last part completes it."""

    def __init__(
        self, transfer: Transfer, wanted: StoredObject, source: Source, progress: TransferProgress
    ) -> None:
        self._backend, self._retries = transfer.backend, transfer.retries
        self._wanted, self._source, self._progress = wanted, source, progress
        self._md5s = wanted.md5s or ()
        self._lock = threading.Lock()
        self._left = 0
        self._completed = False

    def tasks(self) -> Iterator[Task]:
        """Yields a task for each missing part."""
        upload = self._retries(lambda: self._backend.begin(self._wanted.name))
        missing = [
            number for number, wanted in enumerate(self._md5s) if upload.parts.get(number + 1) != wanted
        ]
        for number in set(range(len(self._md5s))) - set(missing):
            self._progress.add(self._wanted.piece(number)[1], skipped=True)
        self._left = len(missing)
        if not missing:
            yield functools.partial(self._complete, upload)
        for number in missing:
            yield functools.partial(self._send, upload, number)

    def _send(self, upload: Upload, number: int) -> None:
        offset, length = self._wanted.piece(number)
        name, expected = self._wanted.name, self._md5s[number]
        sending = _Sending(
            self._source,
            offset,
            length,
            expected,
            lambda data: self._backend.part(name, upload, number + 1, offset, data, expected),
        )
        try:
            self._retries(sending)
        except MissingError:
            # Another process that uploads the same contents has completed the upload.
            if not is_whole(self._retries(lambda: self._backend.stat(name)), self._wanted):
                raise
            self._completed = True
        self._progress.add(length)
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last and not self._completed:
            self._complete(upload)

    def _complete(self, upload: Upload) -> None:
        self._retries(lambda: self._backend.complete(self._wanted.name, upload, self._md5s))


class _Sending:
    """Upload of a range of a source. The receiver verifies it; retries are verified here too."""

    def __init__(
        self, source: Source, offset: int, length: int, expected: str, send: Callable[[bytes], None]
    ) -> None:
        self._source, self._place, self._expected, self._send = source, (offset, length), expected, send
        self._tried = False

    def __call__(self) -> None:
        data = self._source.read(*self._place)
        if self._tried and md5(data) != self._expected:
            raise StoreError(
                f"{self._source.parts[0][0]}: changed while it was being published. "
                "Publish it again when nothing writes to it."
            )
        self._tried = True
        self._send(data)
