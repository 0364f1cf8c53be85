"""Describes the contents of an address: a published artifact, or any objects."""

from collections.abc import Iterable

from frcnn.errors import StoreError
from frcnn.paths import fault_of
from frcnn.storage import publication
from frcnn.storage.backend import Entry
from frcnn.storage.checksums import is_md5
from frcnn.storage.manifest import NAME, Manifest, StoredObject, clashing, location_of
from frcnn.storage.packing import PIECE_BYTES
from frcnn.storage.transfer import Transfer

# Maximum size of a piece to read, even if the ETag was computed from larger parts.
LARGEST_PIECE = 128 << 20


def here(transfer: Transfer) -> tuple[Manifest | None, list[Entry]]:
    """Returns the manifest, or else all objects except those of a first publication in progress."""
    while True:
        manifest = publication.read_manifest(transfer)
        if manifest is not None:
            return manifest, []
        entries = transfer.retries(transfer.backend.entries)
        if all(entry.name != NAME for entry in entries):  # otherwise it was published in the meantime
            return None, [entry for entry in entries if not location_of(entry.name)]


def check_names(uri: str, entries: Iterable[Entry]) -> None:
    """Raises `StoreError` for objects whose names cannot be those of files in one folder."""
    names = [entry.name for entry in entries]
    for name in names:
        if (fault := fault_of(name)) is not None:
            raise StoreError(f"{uri} contains an object whose name {name!r:.300} {fault}. Remove the object.")
    if clash := clashing(names):
        raise StoreError(f"{uri} contains an object {clash!r} and others below it. Remove one of them.")


def unpublished(transfer: Transfer, entry: Entry) -> StoredObject:
    """Describes an object without a manifest, in the pieces of its ETag if their size is known."""
    piece = PIECE_BYTES
    if "-" in entry.etag and is_md5(entry.etag):
        parts = transfer.retries(lambda: transfer.backend.part_bytes(entry))
        piece = parts if 0 < parts <= LARGEST_PIECE else piece
    return StoredObject(entry.name, entry.size, piece, None, entry.etag)
