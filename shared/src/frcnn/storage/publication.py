"""Publishing as one transaction: the manifest is replaced in one step, if it is still the one that was read.

Everything that a publication decides (which location it fills, what it need not send) follows from one
manifest, and holds only if that manifest is still there when the new one takes its place; otherwise the
publication begins again. Objects are removed only from locations that a manifest has condemned before, and a
condemned location is never filled again. So nothing that a manifest names is ever removed, in whatever order
publishers, collectors and readers take their steps (tests/storage/test_interleavings.py walks the orders).
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
from frcnn.storage import download
from frcnn.storage.backend import Entry
from frcnn.storage.checksums import md5
from frcnn.storage.faults import ChangedError, MissingError
from frcnn.storage.manifest import CONTENT, NAME, Manifest, StoredObject, location_of
from frcnn.storage.transfer import Transfer

log = logging.getLogger(__name__)

GRACE_VARIABLE = "FRCNN_STORE_GRACE_SECONDS"
DEFAULT_GRACE = 86400
# Somebody else's publication comes in between at most so many times.
ATTEMPTS = 20
# A manifest remembers so many condemned locations, the newest.
REMEMBERED = 200


@dataclasses.dataclass(frozen=True)
class Former:
    """The manifest that a publication found.

    Attributes:
        manifest: None if there is none, or none that can be read.
        entry: Its version, None if there is none.
        md5: Of its bytes, empty if there is none.
    """

    manifest: Manifest | None = None
    entry: Entry | None = None
    md5: str = ""

    @property
    def condemned(self) -> tuple[str, ...]:
        """Locations that are not to be used."""
        return self.manifest.condemned if self.manifest else ()


@dataclasses.dataclass(frozen=True)
class Draft:
    """A publication before its last step.

    Attributes:
        contents: What is published, where it lies.
        former: What it takes the place of.
        listed: Names and versions of all objects when it began.
    """

    contents: Manifest
    former: Former
    listed: Mapping[str, Entry]


def read_former(transfer: Transfer) -> Former:
    """Returns what is published now; a manifest that cannot be read counts as none, with a warning."""
    keeper = transfer.keeper
    try:
        entry = transfer.retries(lambda: keeper.stat(NAME))
        data = _bytes_of(transfer, entry)
    except MissingError:
        return Former()
    try:
        manifest = Manifest.from_json(data, keeper.where(NAME))
    except StoreError as error:
        log.warning("%s: it is replaced, what it named is kept for now", error)
        return Former(None, entry, md5(data))
    return Former(manifest, entry, md5(data))


def read_manifest(transfer: Transfer) -> Manifest | None:
    """Returns what is published, None if nothing is.

    Raises:
        StoreError: The manifest is damaged or out of reach, or it is none.
    """
    for _ in range(ATTEMPTS):
        try:
            entry = transfer.retries(lambda: transfer.keeper.stat(NAME))
            data = _bytes_of(transfer, entry)
        except MissingError:
            return None
        except ChangedError:
            continue  # the next one took its place
        return Manifest.from_json(data, transfer.keeper.where(NAME))
    raise StoreError(f"{transfer.keeper.where(NAME)}: is replaced all the time; run again")


def _bytes_of(transfer: Transfer, entry: Entry) -> bytes:
    """The bytes of a manifest, unless there are more than any manifest has."""
    where = transfer.keeper.where(NAME)
    if entry.size > MANIFEST_BYTES:
        raise StoreError(f"{where}: {entry.size} bytes, which no manifest has; remove it and publish again")
    whole = StoredObject(entry.name, entry.size, max(entry.size, 1), None, entry.etag)
    return download.read_all(download.Reading.of(transfer, whole))


def choose_location(contents: Manifest, former: Former, listed: Mapping[str, Entry]) -> str:
    """Returns where to put contents: where they, or part of them, lie already, or a location of their own."""
    if former.entry is not None and former.manifest is None:
        return f"{contents.id}-{secrets.token_hex(8)}"  # nobody can tell what is condemned
    known = {location_of(name) for name in listed} - set(former.condemned)
    mine = {each for each in known if each.partition("-")[0] == contents.id}
    if not mine:
        # Always the same one, so that an upload that was cut off before its first object is found again.
        numbered = (f"{contents.id}-{number:x}" for number in itertools.count(1))
        return next(each for each in itertools.chain([contents.id], numbered) if each not in former.condemned)
    named = former.manifest.location if former.manifest else ""
    previous = former.manifest.previous if former.manifest else ""
    return max(mine, key=lambda each: (each == named, each == previous, _filled(each, listed), each))


def commit(transfer: Transfer, draft: Draft) -> Manifest:
    """Puts the manifest in place.

    Raises:
        ChangedError: Somebody else published meanwhile; nothing was changed.
    """
    manifest = _successor(draft, grace())
    data, keeper, former = manifest.to_json().encode(), transfer.keeper, draft.former
    try:
        transfer.retries(lambda: keeper.swap(NAME, data, md5(data), former.entry, former.md5))
    except ChangedError:
        # The answer to a first request that did it may have been lost.
        if read_former(transfer).md5 != md5(data):
            raise
    return manifest


def collect(transfer: Transfer, manifest: Manifest, listed: Mapping[str, Entry]) -> None:
    """Removes what lies in locations that `manifest`, which is in place, condemns; faults are a warning."""
    condemned = set(manifest.condemned)
    doomed = [name for name in listed if location_of(name) in condemned]
    try:
        transfer.retries(lambda: transfer.keeper.remove(doomed))
    except (StoreError, OSError) as error:
        log.warning("%s; it is published, but what is no longer used takes room there", error)


def repeated(attempt: Callable[[], Manifest], where: str) -> Manifest:
    """Returns what `attempt` does, begun again while others publish in between.

    Raises:
        StoreError: They did so too often.
    """
    for _ in range(ATTEMPTS):
        try:
            return attempt()
        except ChangedError:
            log.info("%s: somebody else published there meanwhile; looking again", where)
    raise StoreError(f"{where}: others publish there all the time; run again when they have done")


def grace() -> int:
    """Returns how many seconds contents stay after they are no longer used, by FRCNN_STORE_GRACE_SECONDS.

    Raises:
        UsageError: It is no number of seconds.
    """
    text = os.environ.get(GRACE_VARIABLE) or str(DEFAULT_GRACE)
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise UsageError(f"{GRACE_VARIABLE} is {text!r}; expected a number of seconds such as 86400")
    return int(text)


def _successor(draft: Draft, seconds: int) -> Manifest:
    """The manifest with what it says of other locations: unused since when, or condemned."""
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
