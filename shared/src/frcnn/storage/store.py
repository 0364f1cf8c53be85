"""Artifact store: artifacts and files on S3 or in folders, with the same methods for both."""

import functools
import glob
import hashlib
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.errors import StoreError, UsageError
from frcnn.storage import download, publication, upload
from frcnn.storage.address import Address, is_remote
from frcnn.storage.backend import Entry, StorageBackend
from frcnn.storage.checksums import md5
from frcnn.storage.faults import DamagedError, MissingError
from frcnn.storage.folder_backend import FolderBackend
from frcnn.storage.listing import check_names, here, unpublished
from frcnn.storage.manifest import CONTENT, ByteRange, Manifest, StoredFile, StoredObject
from frcnn.storage.packing import Source, plan
from frcnn.storage.publish_attempt import announce, listed_below, publish_once
from frcnn.storage.s3_backend import S3Backend, connect
from frcnn.storage.settings import Settings
from frcnn.storage.transfer import Transfer
from frcnn.storage.transfer_progress import TransferProgress
from frcnn.storage.verify import holds

if TYPE_CHECKING:
    from minio import Minio

log = logging.getLogger(__name__)

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
                lambda: publish_once(transfer, contents, sources, meter), transfer.keeper.where()
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
            former, listed = publication.read_former(transfer), listed_below(transfer, CONTENT)
            if former.manifest is None:
                raise MissingError(f"{uri}: nothing is published there; check the URI.")
            return announce(transfer, publication.Draft(former.manifest, former, listed))

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
        manifest, entries = here(transfer)
        if manifest is not None:
            return manifest
        if not entries:
            transfer.retries(transfer.keeper.check)
            raise MissingError(f"{uri}: nothing is there; check the URI (frcnn store ls lists what exists)")
        check_names(uri, entries)
        objects = tuple(unpublished(transfer, entry) for entry in entries)
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
        manifest, entries = here(self.transfer(uri))
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
        wanted = Manifest("", (unpublished(transfer, entry),), (StoredFile(path.name, 0, 0, entry.size),))
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
        return download.read_all(download.Reading.of(transfer, unpublished(transfer, entry)))

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
