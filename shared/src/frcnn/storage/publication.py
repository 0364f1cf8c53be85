"""Publishes in one transaction: replaces the manifest unless another publisher was faster.

All decisions of a publication (which location it fills, which objects it need not send) follow from one
manifest. They are valid only if that manifest is still current when the new one replaces it; otherwise the
publication starts again. Objects are removed only from locations that an earlier manifest condemned, and a
condemned location is never filled again. So no object that a manifest names is ever removed, however the
steps of publishers, collectors and readers interleave (see tests/storage/test_interleavings.py).
"""

import dataclasses
import itertools
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping

from frcnn.errors import StoreError, UsageError
from frcnn.limits import MANIFEST_BYTES
from frcnn.storage import object_reading
from frcnn.storage.backend import Entry
from frcnn.storage.checksums import md5
from frcnn.storage.faults import ChangedError, MissingError
from frcnn.storage.manifest import CONTENT, NAME, Manifest, StoredObject, location_of
from frcnn.storage.transfer import Transfer

log = logging.getLogger(__name__)

GRACE_VARIABLE = "FRCNN_STORE_GRACE_SECONDS"
DEFAULT_GRACE = 86400
# Maximum number of attempts while other publishers interfere.
ATTEMPTS = 20
# Number of condemned locations that a manifest remembers; the newest are kept.
REMEMBERED = 200


@dataclasses.dataclass(frozen=True)
class Current:
    """Manifest that a publication found.

    Attributes:
        manifest: The manifest; `None` if it is missing or unreadable.
        entry: Its listing entry with the version; `None` if it is missing.
        md5: MD5 of its bytes (hex); empty if it is missing.
    """

    manifest: Manifest | None = None
    entry: Entry | None = None
    md5: str = ""

    @property
    def condemned(self) -> tuple[str, ...]:
        """Locations that must not be used."""
        return self.manifest.condemned if self.manifest else ()


@dataclasses.dataclass(frozen=True)
class Draft:
    """Publication before its last step.

    Attributes:
        contents: Contents to publish, at their location.
        current: Manifest to replace.
        listed: All objects at the start of the publication, by name.
    """

    contents: Manifest
    current: Current
    listed: Mapping[str, Entry]


def read_current(transfer: Transfer) -> Current:
    """Reads the current manifest; an unreadable one counts as missing, with a warning.

    Args:
        transfer: Backend and limits of the requests.
    """
    backend = transfer.backend
    try:
        entry = transfer.retries(lambda: backend.stat(NAME))
        data = _bytes_of(transfer, entry)
    except MissingError:
        return Current()
    try:
        manifest = Manifest.from_json(data, backend.where(NAME))
    except StoreError as error:
        log.warning("%s The manifest will be replaced; its objects are kept for now.", error)
        return Current(None, entry, md5(data))
    return Current(manifest, entry, md5(data))


def read_manifest(transfer: Transfer) -> Manifest | None:
    """Reads the current manifest.

    Args:
        transfer: Backend and limits of the requests.

    Returns:
        The manifest; `None` if nothing is published.

    Raises:
        StoreError: The manifest is invalid, damaged or unreachable.
    """
    for _ in range(ATTEMPTS):
        try:
            entry = transfer.retries(lambda: transfer.backend.stat(NAME))
            data = _bytes_of(transfer, entry)
        except MissingError:
            return None
        except ChangedError:
            continue  # it was replaced
        return Manifest.from_json(data, transfer.backend.where(NAME))
    raise StoreError(f"{transfer.backend.where(NAME)}: was replaced during every read. Run again.")


def _bytes_of(transfer: Transfer, entry: Entry) -> bytes:
    """Reads the bytes of a manifest; refuses objects larger than any manifest."""
    where = transfer.backend.where(NAME)
    if entry.size > MANIFEST_BYTES:
        raise StoreError(f"{where}: {entry.size} bytes, not a manifest. Remove it and publish again.")
    whole = StoredObject(entry.name, entry.size, max(entry.size, 1), None, entry.etag)
    return object_reading.read_all(object_reading.Reading.of(transfer, whole))


def choose_location(contents: Manifest, current: Current, listed: Mapping[str, Entry]) -> str:
    """Chooses the location for contents.

    Args:
        contents: Contents to publish.
        current: Manifest to replace.
        listed: All objects, by name.

    Returns:
        A location that already contains all or part of the contents, or else a new one.
    """
    if current.entry is not None and current.manifest is None:
        return f"{contents.id}-{secrets.token_hex(8)}"  # the condemned locations are unknown
    known = {location_of(name) for name in listed} - set(current.condemned)
    mine = {each for each in known if each.partition("-")[0] == contents.id}
    if not mine:
        # Deterministic, so that an upload interrupted before its first object is found again.
        numbered = (f"{contents.id}-{number:x}" for number in itertools.count(1))
        return next(
            each for each in itertools.chain([contents.id], numbered) if each not in current.condemned
        )
    named = current.manifest.location if current.manifest else ""
    previous = current.manifest.previous if current.manifest else ""
    return max(mine, key=lambda each: (each == named, each == previous, _filled(each, listed), each))


def commit(transfer: Transfer, draft: Draft) -> Manifest:
    """Replaces the manifest.

    Args:
        transfer: Backend and limits of the requests.
        draft: The publication.

    Returns:
        The new manifest.

    Raises:
        ChangedError: Another publication was faster; nothing was changed.
    """
    manifest = _successor(draft, _grace())
    data, backend, current = manifest.to_json().encode(), transfer.backend, draft.current
    try:
        transfer.retries(lambda: backend.swap(NAME, data, md5(data), current.entry, current.md5))
    except ChangedError:
        # An earlier request may have succeeded, with its response lost.
        if read_current(transfer).md5 != md5(data):
            raise
    return manifest


def collect(transfer: Transfer, manifest: Manifest, listed: Mapping[str, Entry]) -> None:
    """Removes the objects in condemned locations; errors are logged as a warning.

    Args:
        transfer: Backend and limits of the requests.
        manifest: Current manifest.
        listed: All objects, by name.
    """
    condemned = set(manifest.condemned)
    doomed = [name for name in listed if location_of(name) in condemned]
    try:
        transfer.retries(lambda: transfer.backend.remove(doomed))
    except (StoreError, OSError) as error:
        log.warning("Published, but could not remove objects that are no longer used: %s", error)


def repeated(attempt: Callable[[], Manifest], where: str) -> Manifest:
    """Repeats an attempt to publish while other publishers interfere.

    Args:
        attempt: Function that raises `ChangedError` if another publication was faster.
        where: Address of the artifact, for messages.

    Returns:
        Result of `attempt`.

    Raises:
        StoreError: All attempts failed.
    """
    for _ in range(ATTEMPTS):
        try:
            return attempt()
        except ChangedError:
            log.info("%s: another process published there in the meantime; trying again", where)
    raise StoreError(f"{where}: other processes keep publishing there. Run again when they have finished.")


def _grace() -> int:
    """Reads FRCNN_STORE_GRACE_SECONDS: how long contents are kept once they are no longer used, s."""
    text = os.environ.get(GRACE_VARIABLE) or str(DEFAULT_GRACE)
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise UsageError(f"{GRACE_VARIABLE} is {text!r}; expected a number of seconds such as 86400")
    return int(text)


def _successor(draft: Draft, seconds: int) -> Manifest:
    """Returns the new manifest with all other locations: previous, unused or condemned."""
    current, contents = draft.current.manifest, draft.contents
    now = int(time.time())
    previous = ""
    if current is not None:
        previous = current.previous if current.location == contents.location else current.location
    named = {contents.location, previous}
    since = dict(current.unused) if current else {}
    present = {location_of(name) for name in draft.listed} - {""} - set(draft.current.condemned)
    others = present | ({current.previous} if current and current.previous else set())
    unused = {each: min(since.get(each, now), now) for each in sorted(others - named)}
    doomed = [each for each, began in unused.items() if now - began >= seconds]
    return dataclasses.replace(
        contents,
        previous=previous,
        unused={each: began for each, began in unused.items() if each not in doomed},
        condemned=(*draft.current.condemned, *doomed)[-REMEMBERED:],
        serial=secrets.token_hex(8),
    )


def _filled(location: str, listed: Mapping[str, Entry]) -> int:
    prefix = f"{CONTENT}/{location}/"
    return sum(entry.size for name, entry in listed.items() if name.startswith(prefix))
