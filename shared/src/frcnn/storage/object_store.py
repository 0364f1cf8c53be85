"""Object store: reads, writes and lists single objects on S3 or files in folders."""

import functools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Self

from frcnn.errors import StoreError, UsageError
from frcnn.single_writer import only_writer_of
from frcnn.storage import download, object_reading, upload
from frcnn.storage.address import Address, is_remote
from frcnn.storage.backend import Entry, StorageBackend
from frcnn.storage.checksums import md5
from frcnn.storage.faults import DamagedError
from frcnn.storage.folder_backend import FolderBackend
from frcnn.storage.listing import unpublished
from frcnn.storage.manifest import Manifest, StoredFile, StoredObject
from frcnn.storage.packing import Source
from frcnn.storage.s3_backend import S3Backend, connect
from frcnn.storage.settings import Settings
from frcnn.storage.transfer import Transfer
from frcnn.storage.transfer_progress import TransferProgress

if TYPE_CHECKING:
    from minio import Minio

FOLDER_THREADS = 4
# Maximum size of an object for `read`; larger ones must be fetched to files.
MAX_READ = 64 << 20


class ObjectStore:
    """Store of single objects. Addresses are `s3://bucket/prefix` or paths of folders."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Creates a store.

        Args:
            settings: Settings of the server; `None` reads them from the environment on the first use of S3.
        """
        self._given = settings

    @classmethod
    def from_environment(cls) -> Self:
        """Creates a store whose settings come from the environment."""
        return cls()

    @functools.cached_property
    def settings(self) -> Settings:
        """Settings of the server."""
        return self._given or Settings.from_environment()

    def list(self, uri: str) -> list[Entry]:
        """Lists the stored objects below an address.

        Args:
            uri: Address.

        Returns:
            The objects; empty if there are none.
        """
        transfer = self.transfer(uri)
        return transfer.retries(transfer.backend.entries)

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
        transfer.retries(transfer.backend.check)
        source = Source(((path, path.stat().st_size),))
        piece, places = source.pieces()
        wanted = StoredObject(name, source.size, piece, tuple(md5(source.read(*place)) for place in places))
        with TransferProgress(f"uploading {name}", source.size) as progress:
            upload.send(transfer, [(wanted, source)], progress)

    def download_file(self, uri: str, path: Path) -> None:
        """Downloads one object to a file, atomically.

        Args:
            uri: Address of the object.
            path: Local file to create or replace.

        Raises:
            UsageError: `uri` names a bucket instead of an object.
            StoreError: The object is missing, damaged or unreachable.
            PlaceBusyError: Another process downloads to the same file.
        """
        transfer, name = self._above(uri)
        entry = transfer.retries(lambda: transfer.backend.stat(name))
        path = path.absolute()
        wanted = Manifest("", (unpublished(transfer, entry),), (StoredFile(path.name, 0, 0, entry.size),))
        with only_writer_of(path):
            self._download(transfer, entry, wanted, path)

    def _download(self, transfer: Transfer, entry: Entry, wanted: Manifest, path: Path) -> None:
        staging = path.with_name(f".{path.name}.partial-{md5(entry.etag.encode())[:12]}")
        try:
            with TransferProgress(f"fetching {entry.name}", entry.size) as progress:
                download.fetch(transfer, wanted, staging, progress)
        except DamagedError:
            shutil.rmtree(staging)
            raise
        (staging / path.name).replace(path)
        shutil.rmtree(staging)

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
        entry = transfer.retries(lambda: transfer.backend.stat(name))
        if entry.size > MAX_READ:
            raise StoreError(
                f"{uri}: {entry.size} bytes found, at most {MAX_READ} expected here; check the URI."
            )
        return object_reading.read_all(object_reading.Reading.of(transfer, unpublished(transfer, entry)))

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
        transfer.retries(transfer.backend.check)
        transfer.retries(lambda: transfer.backend.write(name, data, md5(data)))

    def remove(self, uri: str) -> None:
        """Removes an object; a missing one is ignored.

        Args:
            uri: Address of the object.
        """
        transfer, name = self._above(uri)
        transfer.retries(lambda: transfer.backend.remove([name]))

    def transfer(self, uri: str) -> Transfer:
        """Creates the backend and the limits of requests for an address.

        Args:
            uri: Address.
        """
        if not is_remote(uri):
            return Transfer.with_patience(FolderBackend(Path(uri)), 0.0, FOLDER_THREADS)
        settings = self.settings
        backend: StorageBackend = S3Backend(self._client, settings, Address.parse(uri))
        return Transfer.with_patience(backend, settings.patience, settings.parallel)

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
