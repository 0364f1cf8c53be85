"""One attempt to publish an artifact; `publication.repeated` repeats it."""

import functools
from collections.abc import Mapping, Sequence

from frcnn.errors import StoreError
from frcnn.storage import object_reading, publication, upload
from frcnn.storage.backend import Entry
from frcnn.storage.checksums import is_md5
from frcnn.storage.faults import ChangedError
from frcnn.storage.manifest import CONTENT, Manifest, StoredObject
from frcnn.storage.packing import Source
from frcnn.storage.transfer import Transfer
from frcnn.storage.transfer_progress import TransferProgress


def publish_once(
    transfer: Transfer, contents: Manifest, sources: Sequence[Source], progress: TransferProgress
) -> Manifest:
    """Makes one attempt to publish; raises `ChangedError` if another publisher was faster."""
    current, listed = publication.read_current(transfer), listed_below(transfer, CONTENT)
    placed = contents.at(publication.choose_location(contents, current, listed))
    present = _whole(transfer, placed, listed)
    objects = list(zip(placed.objects, sources, strict=True))
    upload.send(transfer, objects, progress, present)
    arrived = listed_below(transfer, f"{CONTENT}/{placed.location}")
    for each in placed.objects:
        if not upload.is_whole(arrived.get(each.name), each):
            where = transfer.backend.where(each.name)
            if publication.read_current(transfer).md5 != current.md5:
                raise ChangedError(f"{where}: another process removed it as unused in the meantime")
            raise StoreError(f"{where}: missing or changed after the upload. Publish again.")
    return announce(transfer, publication.Draft(placed, current, listed))


def _whole(transfer: Transfer, manifest: Manifest, listed: Mapping[str, Entry]) -> dict[str, Entry]:
    """Returns the intact objects of a manifest; reads those that the listing cannot verify."""
    found = {each.name: listed[each.name] for each in manifest.objects if each.name in listed}
    uncertain = [
        each
        for each in manifest.objects
        if upload.is_whole(found.get(each.name), each) and not _has_checksum(transfer, found[each.name])
    ]
    damaged: set[str] = set()

    def check(stored: StoredObject) -> None:
        try:
            object_reading.verify(object_reading.Reading.of(transfer, stored), progress)
        except StoreError:
            damaged.add(stored.name)

    if uncertain:
        with TransferProgress("checking existing objects", sum(each.size for each in uncertain)) as progress:
            transfer.run(functools.partial(check, each) for each in uncertain)
    return {name: entry for name, entry in found.items() if name not in damaged}


def _has_checksum(transfer: Transfer, entry: Entry) -> bool:
    return transfer.backend.lists_checksums and is_md5(entry.etag)


def announce(transfer: Transfer, draft: publication.Draft) -> Manifest:
    """Replaces the manifest, then removes objects that are no longer needed."""
    manifest = publication.commit(transfer, draft)
    publication.collect(transfer, manifest, draft.listed)
    return manifest


def listed_below(transfer: Transfer, below: str) -> dict[str, Entry]:
    """Lists the stored objects below a prefix by name."""
    return {entry.name: entry for entry in transfer.retries(lambda: transfer.backend.entries(below))}
