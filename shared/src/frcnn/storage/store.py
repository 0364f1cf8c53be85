"""Artifact store: publishes and fetches artifacts on S3 or in folders, with the same methods for both."""

import functools
import glob
import hashlib
import logging
import shutil
from pathlib import Path

from frcnn.errors import UsageError
from frcnn.single_writer import only_writer_of
from frcnn.storage import download, object_reading, publication
from frcnn.storage.address import is_remote
from frcnn.storage.faults import MissingError
from frcnn.storage.listing import check_names, here, unpublished
from frcnn.storage.manifest import CONTENT, ByteRange, Manifest, StoredFile
from frcnn.storage.object_store import ObjectStore
from frcnn.storage.packing import plan
from frcnn.storage.publish_attempt import announce, listed_below, publish_once
from frcnn.storage.transfer_progress import TransferProgress
from frcnn.storage.verify import matches_manifest

log = logging.getLogger(__name__)


class Store(ObjectStore):
    """Artifact store. Addresses are `s3://bucket/prefix` or paths of folders."""

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
                folder; or the address is a folder inside it.
            StoreError: A request failed. The message gives object, reason and advice.
        """
        _check_outside(folder, uri)
        transfer = self.transfer(uri)
        contents, sources = plan(folder, transfer.threads)
        transfer.retries(transfer.backend.check)
        with TransferProgress(f"uploading {folder.name}", contents.size) as progress:
            manifest = publication.repeated(
                lambda: publish_once(transfer, contents, sources, progress), transfer.backend.where()
            )
        log.info("Published %s: %d files, %s", uri, len(manifest.files), progress.summary())
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
            current, listed = publication.read_current(transfer), listed_below(transfer, CONTENT)
            if current.manifest is None:
                raise MissingError(f"{uri}: nothing is published there; check the URI.")
            return announce(transfer, publication.Draft(current.manifest, current, listed))

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
            UsageError: `folder` contains other files, or is below the address.
            StoreError: The data is missing, damaged or unreachable.
            PlaceBusyError: Another process fetches to the same folder.
        """
        if not is_remote(uri) and not folder.exists():
            _check_outside(Path(uri), str(folder))
        manifest, folder = self.contents(uri), folder.absolute()
        if _is_copy(folder, manifest, uri):
            return manifest
        with only_writer_of(folder):  # two would write the same pieces
            if not _is_copy(folder, manifest, uri):
                self._fetch(uri, manifest, folder)
        return manifest

    def _fetch(self, uri: str, manifest: Manifest, folder: Path) -> None:
        staging = folder.with_name(f".{folder.name}.partial-{manifest.id[:12]}")
        for stale in set(folder.parent.glob(f".{glob.escape(folder.name)}.partial-*")) - {staging}:
            shutil.rmtree(stale, ignore_errors=True)
        with TransferProgress(f"fetching {folder.name}", manifest.size) as progress:
            download.fetch(self.transfer(uri), manifest, staging, progress)
        staging.replace(folder)
        log.info("Fetched %s: %d files, %s", uri, len(manifest.files), progress.summary())

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
            transfer.retries(transfer.backend.check)
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
        with TransferProgress("verifying", manifest.size) as progress:
            transfer.run(
                functools.partial(object_reading.verify, object_reading.Reading.of(transfer, each), progress)
                for each in manifest.objects
            )
        return manifest


def _check_outside(folder: Path, uri: str) -> None:
    """Checks that a folder is not copied into itself: the next copy would contain this one."""
    if not is_remote(uri) and Path(uri).resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{uri}: is inside {folder}, the folder to copy; choose a place outside of it")


def _is_copy(folder: Path, manifest: Manifest, uri: str) -> bool:
    """Checks whether a folder already has the contents; raises `UsageError` if it has others."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not matches_manifest(folder, manifest):
        raise UsageError(f"{folder} exists and differs from {uri}. Remove it or choose another folder.")
    log.info("%s is already a copy of %s", folder, uri)
    return True
