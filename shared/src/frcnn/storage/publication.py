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
class Former:
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
        former: Manifest to replace.
        listed: All objects at the start of the publication, by name.
    """

    contents: Manifest
    former: Former
    listed: Mapping[str, Entry]


def read_former(transfer: Transfer) -> Former:
    """Reads the current manifest; an unreadable one counts as missing, with a warning.

    Args:
        transfer: Backend and limits of the requests.
    """
    keeper = transfer.keeper
    try:
        entry = transfer.retries(lambda: keeper.stat(NAME))
        data = _bytes_of(transfer, entry)
    except MissingError:
        return Former()
    try:
        manifest = Manifest.from_json(data, keeper.where(NAME))
    except StoreError as error:
        log.warning("%s The manifest will be replaced; its objects are kept for now.", error)
        return Former(None, entry, md5(data))
    return Former(manifest, entry, md5(data))


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
            entry = transfer.retries(lambda: transfer.keeper.stat(NAME))
            data = _bytes_of(transfer, entry)
        except MissingError:
            return None
        except ChangedError:
            continue  # it was replaced
        return Manifest.from_json(data, transfer.keeper.where(NAME))
    raise StoreError(f"{transfer.keeper.where(NAME)}: was replaced during every read. Run again.")


def _bytes_of(transfer: Transfer, entry: Entry) -> bytes:
    """Reads the bytes of a manifest; refuses objects larger than any manifest."""
    where = transfer.keeper.where(NAME)
    if entry.size > MANIFEST_BYTES:
        raise StoreError(f"{where}: {entry.size} bytes, not a manifest. Remove it and publish again.")
    whole = StoredObject(entry.name, entry.size, max(entry.size, 1), None, entry.etag)
    return object_reading.read_all(object_reading.Reading.of(transfer, whole))


def choose_location(contents: Manifest, former: Former, listed: Mapping[str, Entry]) -> str:
    """Chooses the location for contents.

    Args:
        contents: Contents to publish.
        former: Manifest to replace.
        listed: All objects, by name.

    Returns:
        A location that already contains all or part of the contents, or else a new one.
    """
    if former.entry is not None and former.manifest is None:
        return f"{contents.id}-{secrets.token_hex(8)}"  # the condemned locations are unknown
    known = {location_of(name) for name in listed} - set(former.condemned)
    mine = {each for each in known if each.partition("-")[0] == contents.id}
    if not mine:
        # Deterministic, so that an upload interrupted before its first object is found again.
        numbered = (f"{contents.id}-{number:x}" for number in itertools.count(1))
        return next(each for each in itertools.chain([contents.id], numbered) if each not in former.condemned)
    named = former.manifest.location if former.manifest else ""
    previous = former.manifest.previous if former.manifest else ""
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
    manifest = _successor(draft, grace())
    data, keeper, former = manifest.to_json().encode(), transfer.keeper, draft.former
    try:
        transfer.retries(lambda: keeper.swap(NAME, data, md5(data), former.entry, former.md5))
    except ChangedError:
        # An earlier request may have succeeded, with its response lost.
        if read_former(transfer).md5 != md5(data):
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
        transfer.retries(lambda: transfer.keeper.remove(doomed))
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


def grace() -> int:
    """Reads FRCNN_STORE_GRACE_SECONDS: how long contents are kept once they are no longer used, s.

    Raises:
        UsageError: The value is not a number of seconds.
    """
    text = os.environ.get(GRACE_VARIABLE) or str(DEFAULT_GRACE)
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise UsageError(f"{GRACE_VARIABLE} is {text!r}; expected a number of seconds such as 86400")
    return int(text)


def _successor(draft: Draft, seconds: int) -> Manifest:
    """Returns the new manifest with all other locations: previous, unused or condemned."""
    former, contents = draft.former.manifest, draft.contents
    now = int(time.time())
    previous = ""
    if former is not None:
        previous = former.previous if former.location == contents.location else former.location
    named = {contents.location, previous}
    since = dict(former.unused) if former else {}
    present = {location_of(name) for name in draft.listed} - {""} - set(draft.former.condemned)
    others = present | ({former.previous} if former and former.previous else set())
    unused = {each: min(since.get(each, now), now) for each in sorted(others - named)}
    doomed = [each for each, began in unused.items() if now - began >= seconds]
    return dataclasses.replace(
        contents,
        previous=previous,
        unused={each: began for each, began in unused.items() if each not in doomed},
        condemned=(*draft.former.condemned, *doomed)[-REMEMBERED:],
        serial=secrets.token_hex(8),
    )


def _filled(location: str, listed: Mapping[str, Entry]) -> int:
    prefix = f"{CONTENT}/{location}/"
    return sum(entry.size for name, entry in listed.items() if name.startswith(prefix))
