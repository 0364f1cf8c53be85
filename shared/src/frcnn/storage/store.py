"""Artifact store: artifacts and files on S3 or in folders, with the same methods for both."""

import functools
import glob
import hashlib
import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.errors import StoreError, UsageError
from frcnn.paths import fault_of
from frcnn.storage import download, publication, upload
from frcnn.storage.address import Address, is_remote
from frcnn.storage.backend import Entry, StorageBackend
from frcnn.storage.checksums import is_md5, md5
from frcnn.storage.faults import ChangedError, DamagedError, MissingError
from frcnn.storage.folder_backend import FolderBackend
from frcnn.storage.manifest import (
    CONTENT,
    NAME,
    ByteRange,
    Manifest,
    StoredFile,
    StoredObject,
    clashing,
    location_of,
)
from frcnn.storage.packing import PIECE_BYTES, Source, plan
from frcnn.storage.s3_backend import S3Backend, connect
from frcnn.storage.settings import Settings
from frcnn.storage.transfer import Transfer
from frcnn.storage.transfer_progress import TransferProgress
from frcnn.storage.verify import holds

if TYPE_CHECKING:
    from minio import Minio

log = logging.getLogger(__name__)

# Maximum size of a piece to read, even if the ETag was computed from larger parts.
LARGEST_PIECE = 128 << 20
FOLDER_THREADS = 4
# Maximum size of an object for `read`; larger ones must be fetched to files.
MOST_READ = 64 << 20


class Store:
    """Artifact store. Addresses are `s3://bucket/prefix` or paths of folders."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Creates a store.

        Args:
            settings: Settings of the server; `None` reads them from the environment on the first use of S3.
        """
        self._given = settings

    @classmethod
    def from_environment(cls) -> "Store":
        """Creates a store whose settings come from the environment."""
        return cls()

    @functools.cached_property
    def settings(self) -> Settings:
        """Settings of the server."""
        return self._given or Settings.from_environment()

    def publish(self, folder: Path, uri: str) -> Manifest:
        """Publishes the files of a folder as an artifact, atomically for readers.

        The contents get a name derived from their hash, and the manifest is written last. If another process
        publishes in the meantime, the publication starts again (see `publication`). Publishing the same
        contents again, or after an interruption, sends only missing or damaged objects.

        Args:
            folder: Folder to publish.
            uri: Address of the artifact.

        Returns:
            The new manifest.

        Raises:
            UsageError: The folder is missing, empty, or contains something that is neither a file nor a
                folder.
            StoreError: A request failed. The message gives object, reason and advice.
        """
        transfer = self.transfer(uri)
        contents, sources = plan(folder, transfer.threads)
        transfer.retries(transfer.keeper.check)
        with TransferProgress(f"uploading {folder.name}", contents.size) as meter:
            manifest = publication.repeated(
                lambda: _published(transfer, contents, sources, meter), transfer.keeper.where()
            )
        log.info("Published %s: %d files, %s", uri, len(manifest.files), meter.summary())
        return manifest

    def collect(self, uri: str) -> Manifest:
        """Removes contents unused for longer than the grace period, as each publication does.

        Args:
            uri: Address of the artifact.

        Returns:
            The new manifest.

        Raises:
            StoreError: Nothing is published there, or a request failed.
        """
        transfer = self.transfer(uri)

        def attempt() -> Manifest:
            former, listed = publication.read_former(transfer), _listed(transfer, CONTENT)
            if former.manifest is None:
                raise MissingError(f"{uri}: nothing is published there; check the URI.")
            return _announce(transfer, publication.Draft(former.manifest, former, listed))

        return publication.repeated(attempt, uri)

    def fetch(self, uri: str, folder: Path) -> Manifest:
        """Fetches an artifact, or all objects below an address, to a folder, atomically.

        Resumes an interrupted fetch. Does nothing if the folder already contains exactly these files.

        Args:
            uri: Address of the artifact.
            folder: Target folder; must be missing, empty, or an identical copy.

        Returns:
            The manifest.

        Raises:
            UsageError: `folder` contains other files.
            StoreError: The data is missing, damaged or unreachable.
        """
        transfer, manifest, folder = self.transfer(uri), self.contents(uri), folder.absolute()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            if not holds(folder, manifest):
                raise UsageError(
                    f"{folder} exists and differs from {uri}. Remove it or choose another folder."
                )
            log.info("%s is already a copy of %s", folder, uri)
            return manifest
        aside = folder.with_name(f".{folder.name}.partial-{manifest.id[:12]}")
        for stale in set(folder.parent.glob(f".{glob.escape(folder.name)}.partial-*")) - {aside}:
            shutil.rmtree(stale, ignore_errors=True)
        with TransferProgress(f"fetching {folder.name}", manifest.size) as meter:
            download.fetch(transfer, manifest, aside, meter)
        download.put_in_place(aside, folder)
        log.info("Fetched %s: %d files, %s", uri, len(manifest.files), meter.summary())
        return manifest

    def contents(self, uri: str) -> Manifest:
        """Describes the contents of an address: a published artifact, or any objects.

        Args:
            uri: Address of the artifact.

        Returns:
            The manifest of the artifact, or one created from the listing.

        Raises:
            StoreError: The address contains nothing or is unreachable, or names of objects are invalid.
        """
        transfer = self.transfer(uri)
        manifest, entries = _here(transfer)
        if manifest is not None:
            return manifest
        if not entries:
            transfer.retries(transfer.keeper.check)
            raise MissingError(f"{uri}: nothing is there; check the URI (frcnn store ls lists what exists)")
        _check_names(uri, entries)
        objects = tuple(_unpublished(transfer, entry) for entry in entries)
        files = tuple(StoredFile(entry.name, n, 0, entry.size) for n, entry in enumerate(entries))
        facts = "\0".join(f"{entry.name}\0{entry.size}\0{entry.etag}" for entry in entries)
        return Manifest(hashlib.sha256(facts.encode()).hexdigest()[:32], objects, files)

    def files(self, uri: str) -> list[ByteRange]:
        """Locates each file of an address without a request per file.

        Args:
            uri: Address of an artifact or of any objects.

        Returns:
            Byte range of each file; empty if the address contains nothing.

        Raises:
            StoreError: The bucket is missing or unreachable.
        """
        manifest, entries = _here(self.transfer(uri))
        if manifest is None:
            return [ByteRange(entry.name, entry.name, 0, entry.size, entry.etag) for entry in entries]
        objects = manifest.objects
        return [
            ByteRange(each.path, objects[each.object].name, each.offset, each.size) for each in manifest.files
        ]

    def verify(self, uri: str) -> Manifest:
        """Reads all data of an artifact and compares it with the checksums.

        Args:
            uri: Address of the artifact.

        Returns:
            The manifest.

        Raises:
            StoreError: An object is missing or damaged.
        """
        transfer, manifest = self.transfer(uri), self.contents(uri)
        with TransferProgress("verifying", manifest.size) as meter:
            transfer.run(
                functools.partial(download.verify, download.Reading.of(transfer, each), meter)
                for each in manifest.objects
            )
        return manifest

    def list(self, uri: str) -> list[Entry]:
        """Lists the stored objects below an address.

        Args:
            uri: Address.

        Returns:
            The objects; empty if there are none.
        """
        transfer = self.transfer(uri)
        return transfer.retries(transfer.keeper.entries)

    def upload_file(self, path: Path, uri: str) -> None:
        """Uploads one file atomically; resumes an interrupted upload.

        Args:
            path: Local file.
            uri: Address of the object.

        Raises:
            UsageError: `uri` names a bucket instead of an object.
            StoreError: A request failed, or the file changed meanwhile.
        """
        transfer, name = self._above(uri)
        transfer.retries(transfer.keeper.check)
        source = Source(((path, path.stat().st_size),))
        piece, places = source.pieces()
        wanted = StoredObject(name, source.size, piece, tuple(md5(source.read(*place)) for place in places))
        with TransferProgress(f"uploading {name}", source.size) as meter:
            upload.send(transfer, [(wanted, source)], meter)

    def download_file(self, uri: str, path: Path) -> None:
        """Downloads one object to a file, atomically.

        Args:
            uri: Address of the object.
            path: Local file to create or replace.

        Raises:
            UsageError: `uri` names a bucket instead of an object.
            StoreError: The object is missing, damaged or unreachable.
        """
        transfer, name = self._above(uri)
        entry = transfer.retries(lambda: transfer.keeper.stat(name))
        path = path.absolute()
        wanted = Manifest("", (_unpublished(transfer, entry),), (StoredFile(path.name, 0, 0, entry.size),))
        aside = path.with_name(f".{path.name}.partial-{md5(entry.etag.encode())[:12]}")
        try:
            with TransferProgress(f"fetching {name}", entry.size) as meter:
                download.fetch(transfer, wanted, aside, meter)
        except DamagedError:
            shutil.rmtree(aside)
            raise
        (aside / path.name).replace(path)
        shutil.rmtree(aside)

    def read(self, uri: str) -> bytes:
        """Reads a small object.

        Args:
            uri: Address of the object.

        Returns:
            The bytes.

        Raises:
            UsageError: `uri` names a bucket instead of an object.
            StoreError: The object is missing, too large, damaged or unreachable.
        """
        transfer, name = self._above(uri)
        entry = transfer.retries(lambda: transfer.keeper.stat(name))
        if entry.size > MOST_READ:
            raise StoreError(
                f"{uri}: {entry.size} bytes found, at most {MOST_READ} expected here; check the URI."
            )
        return download.read_all(download.Reading.of(transfer, _unpublished(transfer, entry)))

    def write(self, uri: str, data: bytes) -> None:
        """Writes an object atomically.

        Args:
            uri: Address of the object.
            data: Content.

        Raises:
            UsageError: `uri` names a bucket instead of an object.
            StoreError: A request failed.
        """
        transfer, name = self._above(uri)
        transfer.retries(transfer.keeper.check)
        transfer.retries(lambda: transfer.keeper.write(name, data, md5(data)))

    def remove(self, uri: str) -> None:
        """Removes an object; a missing one is ignored.

        Args:
            uri: Address of the object.
        """
        transfer, name = self._above(uri)
        transfer.retries(lambda: transfer.keeper.remove([name]))

    def transfer(self, uri: str) -> Transfer:
        """Creates the backend and the limits of requests for an address.

        Args:
            uri: Address.
        """
        if not is_remote(uri):
            return Transfer.with_patience(FolderBackend(Path(uri)), 0.0, FOLDER_THREADS)
        settings = self.settings
        keeper: StorageBackend = S3Backend(self._client, settings, Address.parse(uri))
        return Transfer.with_patience(keeper, settings.patience, settings.parallel)

    @functools.cached_property
    def _client(self) -> "Minio":
        return connect(self.settings)

    def _above(self, uri: str) -> tuple[Transfer, str]:
        """Returns the transfer for the folder of an object, and the object's name in it."""
        if is_remote(uri):
            address = Address.parse(uri)
            if not address.key:
                raise UsageError(f"{uri} names a bucket; expected the URI of an object in it.")
            uri = str(address)
        above, _, name = uri.rpartition("/")
        return self.transfer(above or ("/" if uri.startswith("/") else ".")), name


def _here(transfer: Transfer) -> tuple[Manifest | None, list[Entry]]:
    """Returns the manifest, or else all objects except those of a first publication in progress."""
    while True:
        manifest = publication.read_manifest(transfer)
        if manifest is not None:
            return manifest, []
        entries = transfer.retries(transfer.keeper.entries)
        if all(entry.name != NAME for entry in entries):  # otherwise it was published in the meantime
            return None, [entry for entry in entries if not location_of(entry.name)]


def _published(
    transfer: Transfer, contents: Manifest, sources: Sequence[Source], meter: TransferProgress
) -> Manifest:
    """Makes one attempt to publish; raises `ChangedError` if another publisher was faster."""
    former, listed = publication.read_former(transfer), _listed(transfer, CONTENT)
    placed = contents.at(publication.choose_location(contents, former, listed))
    present = _whole(transfer, placed, listed)
    objects = list(zip(placed.objects, sources, strict=True))
    upload.send(transfer, objects, meter, present)
    arrived = _listed(transfer, f"{CONTENT}/{placed.location}")
    for each in placed.objects:
        if not upload.is_whole(arrived.get(each.name), each):
            where = transfer.keeper.where(each.name)
            if publication.read_former(transfer).md5 != former.md5:
                raise ChangedError(f"{where}: another process removed it as unused in the meantime")
            raise StoreError(f"{where}: missing or changed after the upload. Publish again.")
    return _announce(transfer, publication.Draft(placed, former, listed))


def _whole(transfer: Transfer, manifest: Manifest, listed: Mapping[str, Entry]) -> dict[str, Entry]:
    """Returns the intact objects of a manifest; reads those that the listing cannot verify."""
    found = {each.name: listed[each.name] for each in manifest.objects if each.name in listed}
    unsure = [
        each
        for each in manifest.objects
        if upload.is_whole(found.get(each.name), each) and not _tells(transfer, found[each.name])
    ]
    damaged: set[str] = set()

    def check(stored: StoredObject) -> None:
        try:
            download.verify(download.Reading.of(transfer, stored), meter)
        except StoreError:
            damaged.add(stored.name)

    if unsure:
        with TransferProgress("checking existing objects", sum(each.size for each in unsure)) as meter:
            transfer.run(functools.partial(check, each) for each in unsure)
    return {name: entry for name, entry in found.items() if name not in damaged}


def _tells(transfer: Transfer, entry: Entry) -> bool:
    return transfer.keeper.tells_checksums and is_md5(entry.etag)


def _announce(transfer: Transfer, draft: publication.Draft) -> Manifest:
    """Replaces the manifest, then removes objects that are no longer needed."""
    manifest = publication.commit(transfer, draft)
    publication.collect(transfer, manifest, draft.listed)
    return manifest


def _check_names(uri: str, entries: Iterable[Entry]) -> None:
    """Raises `StoreError` for objects whose names cannot be those of files in one folder."""
    names = [entry.name for entry in entries]
    for name in names:
        if (fault := fault_of(name)) is not None:
            raise StoreError(f"{uri} contains an object whose name {name!r:.300} {fault}. Remove the object.")
    if clash := clashing(names):
        raise StoreError(f"{uri} contains an object {clash!r} and others below it. Remove one of them.")


def _listed(transfer: Transfer, below: str) -> dict[str, Entry]:
    return {entry.name: entry for entry in transfer.retries(lambda: transfer.keeper.entries(below))}


def _unpublished(transfer: Transfer, entry: Entry) -> StoredObject:
    """Describes an object without a manifest, in the pieces of its ETag if their size is known."""
    piece = PIECE_BYTES
    if "-" in entry.etag and is_md5(entry.etag):
        parts = transfer.retries(lambda: transfer.keeper.part_bytes(entry))
        piece = parts if 0 < parts <= LARGEST_PIECE else piece
    return StoredObject(entry.name, entry.size, piece, None, entry.etag)
