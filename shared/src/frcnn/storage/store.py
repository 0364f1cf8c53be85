"""The store: artifacts and files on S3 or in folders, through the same calls."""

import dataclasses
import functools
import glob
import hashlib
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.errors import StoreError, UsageError
from frcnn.storage import download, upload
from frcnn.storage.address import Address, is_remote
from frcnn.storage.backend import Entry, Keeper
from frcnn.storage.checksums import is_md5, md5
from frcnn.storage.faults import DamagedError, MissingError
from frcnn.storage.folder_backend import FolderKeeper
from frcnn.storage.manifest import (
    CONTENT,
    NAME,
    Manifest,
    StoredFile,
    StoredObject,
    Stretch,
    safe_path,
)
from frcnn.storage.packing import PIECE_BYTES, Source, plan
from frcnn.storage.s3_backend import S3Keeper, connect
from frcnn.storage.settings import Settings
from frcnn.storage.transfer import Transfer
from frcnn.storage.transfer_progress import Meter
from frcnn.storage.verify import holds

if TYPE_CHECKING:
    from minio import Minio

log = logging.getLogger(__name__)

# Parts larger than this are not read as one piece, whatever the etag was made of.
LARGEST_PIECE = 128 << 20
FOLDER_THREADS = 4
# What `read` gives; larger objects go to files.
MOST_READ = 64 << 20


class Store:
    """Publishes and fetches. An address is `s3://bucket/prefix` or the path of a folder."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Without `settings`, the environment tells them once S3 is asked for."""
        self._given = settings

    @classmethod
    def from_environment(cls) -> "Store":
        """The usual one."""
        return cls()

    @functools.cached_property
    def settings(self) -> Settings:
        """How the server is reached."""
        return self._given or Settings.from_environment()

    def publish(self, folder: Path, uri: str) -> Manifest:
        """Puts the files of `folder` at `uri` as an artifact; readers see all of it or what was there before.

        Contents lie under a name made from themselves, and the manifest is written last. Publishing the
        same again, or after it was cut off, sends only what is missing. Returns the manifest.

        Raises:
            UsageError: The folder is missing, empty, or holds what is no file.
            StoreError: It cannot be done; names the object, the reason and the remedy.
        """
        transfer = self.transfer(uri)
        manifest, sources = plan(folder, transfer.threads)
        transfer.retries(transfer.keeper.check)
        root = f"{CONTENT}/{manifest.id}"
        with Meter(f"uploading {folder.name}", manifest.size) as meter:
            objects = zip(manifest.objects, sources, strict=True)
            upload.send(transfer, objects, meter, _listed(transfer, root))
        present = _listed(transfer, root)
        for each in manifest.objects:
            if not upload.is_whole(present.get(each.name), each):
                raise StoreError(
                    f"{transfer.keeper.where(each.name)}: is not there as it was sent; publish again"
                )
        manifest = _announce(transfer, manifest)
        log.info("published %s: %d files, %s", uri, len(manifest.files), meter.summary())
        return manifest

    def fetch(self, uri: str, folder: Path) -> Manifest:
        """Brings the artifact at `uri`, or all objects under it if it is none, to `folder`; all or nothing.

        A run that was cut off is taken up again. Nothing is done if `folder` holds these files already.

        Raises:
            UsageError: `folder` holds something else.
            StoreError: Nothing is at `uri`, or it is damaged or out of reach.
        """
        transfer, manifest, folder = self.transfer(uri), self.contents(uri), folder.absolute()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            if not holds(folder, manifest):
                raise UsageError(
                    f"{folder}: is there and holds something other than {uri}; "
                    "remove it, or fetch to another folder"
                )
            log.info("%s holds %s already", folder, uri)
            return manifest
        aside = folder.with_name(f".{folder.name}.partial-{manifest.id[:12]}")
        for stale in set(folder.parent.glob(f".{glob.escape(folder.name)}.partial-*")) - {aside}:
            shutil.rmtree(stale, ignore_errors=True)
        with Meter(f"fetching {folder.name}", manifest.size) as meter:
            download.fetch(transfer, manifest, aside, meter)
        download.put_in_place(aside, folder)
        log.info("fetched %s: %d files, %s", uri, len(manifest.files), meter.summary())
        return manifest

    def contents(self, uri: str) -> Manifest:
        """What lies at `uri`: a published artifact, or any objects.

        Raises:
            StoreError: Nothing does.
        """
        transfer = self.transfer(uri)
        manifest = _manifest(transfer)
        if manifest is not None:
            return manifest
        entries = [entry for entry in self.list(uri) if safe_path(entry.name)]
        if not entries:
            transfer.retries(transfer.keeper.check)
            raise MissingError(f"{uri}: nothing is there; check the URI (frcnn store ls lists what is)")
        objects = tuple(_unpublished(transfer, entry) for entry in entries)
        files = tuple(StoredFile(entry.name, n, 0, entry.size) for n, entry in enumerate(entries))
        facts = "\0".join(f"{entry.name}\0{entry.size}\0{entry.etag}" for entry in entries)
        return Manifest(hashlib.sha256(facts.encode()).hexdigest()[:32], objects, files)

    def files(self, uri: str) -> list[Stretch]:
        """Where each file of what lies at `uri` can be read, without a request for each; none is no error.

        Raises:
            StoreError: The bucket is missing or out of reach.
        """
        manifest = _manifest(self.transfer(uri))
        if manifest is None:
            return [Stretch(entry.name, entry.name, 0, entry.size, entry.etag) for entry in self.list(uri)]
        objects = manifest.objects
        return [
            Stretch(each.path, objects[each.object].name, each.offset, each.size) for each in manifest.files
        ]

    def verify(self, uri: str) -> Manifest:
        """Reads all of `uri` and compares it with its checksums.

        Raises:
            StoreError: Names the first object that is missing or damaged.
        """
        transfer, manifest = self.transfer(uri), self.contents(uri)
        with Meter("verifying", manifest.size) as meter:
            transfer.run(
                functools.partial(download.verify, download.Reading.of(transfer, each), meter)
                for each in manifest.objects
            )
        return manifest

    def list(self, uri: str) -> list[Entry]:
        """The objects under `uri`, as they are kept; none is no error."""
        transfer = self.transfer(uri)
        return transfer.retries(transfer.keeper.entries)

    def upload_file(self, path: Path, uri: str) -> None:
        """Puts one file at `uri`, seen whole or not at all; what a cut-off upload has sent is not sent again.

        Raises:
            StoreError: It cannot be done.
        """
        transfer, name = self._above(uri)
        transfer.retries(transfer.keeper.check)
        source = Source(((path, path.stat().st_size),))
        piece, places = source.pieces()
        wanted = StoredObject(name, source.size, piece, tuple(md5(source.read(*place)) for place in places))
        with Meter(f"uploading {name}", source.size) as meter:
            upload.send(transfer, [(wanted, source)], meter)

    def download_file(self, uri: str, path: Path) -> None:
        """Brings one object to `path`, whole or not at all.

        Raises:
            StoreError: There is none, or it is damaged or out of reach.
        """
        transfer, name = self._above(uri)
        entry = transfer.retries(lambda: transfer.keeper.stat(name))
        path = path.absolute()
        wanted = Manifest("", (_unpublished(transfer, entry),), (StoredFile(path.name, 0, 0, entry.size),))
        aside = path.with_name(f".{path.name}.partial-{md5(entry.etag.encode())[:12]}")
        try:
            with Meter(f"fetching {name}", entry.size) as meter:
                download.fetch(transfer, wanted, aside, meter)
        except DamagedError:
            shutil.rmtree(aside)
            raise
        (aside / path.name).replace(path)
        shutil.rmtree(aside)

    def read(self, uri: str) -> bytes:
        """The bytes of one small object.

        Raises:
            StoreError: There is none, it is too large for that, or it is out of reach.
        """
        transfer, name = self._above(uri)
        entry = transfer.retries(lambda: transfer.keeper.stat(name))
        if entry.size > MOST_READ:
            raise StoreError(
                f"{uri}: {entry.size} bytes are too many for what is expected here; check the URI"
            )
        return download.read_all(download.Reading.of(transfer, _unpublished(transfer, entry)))

    def write(self, uri: str, data: bytes) -> None:
        """Makes `data` the object at `uri`, seen whole or not at all.

        Raises:
            StoreError: It cannot be done.
        """
        transfer, name = self._above(uri)
        transfer.retries(transfer.keeper.check)
        transfer.retries(lambda: transfer.keeper.write(name, data, md5(data)))

    def remove(self, uri: str) -> None:
        """Removes one object; it need not be there."""
        transfer, name = self._above(uri)
        transfer.retries(lambda: transfer.keeper.remove([name]))

    def transfer(self, uri: str) -> Transfer:
        """What requests to the objects below `uri` are made with."""
        if not is_remote(uri):
            return Transfer.with_patience(FolderKeeper(Path(uri)), 0.0, FOLDER_THREADS)
        settings = self.settings
        keeper: Keeper = S3Keeper(self._client, settings, Address.parse(uri))
        return Transfer.with_patience(keeper, settings.patience, settings.parallel)

    @functools.cached_property
    def _client(self) -> "Minio":
        return connect(self.settings)

    def _above(self, uri: str) -> tuple[Transfer, str]:
        """For the object at `uri`: what to ask its folder with, and its name there.

        Raises:
            UsageError: `uri` names a bucket or nothing.
        """
        if is_remote(uri):
            address = Address.parse(uri)
            if not address.key:
                raise UsageError(f"{uri}: names a bucket; expected the URI of an object in it")
            uri = str(address)
        above, _, name = uri.rpartition("/")
        return self.transfer(above or ("/" if uri.startswith("/") else ".")), name


def _announce(transfer: Transfer, manifest: Manifest) -> Manifest:
    """Writes the manifest. What was there before stays for those who read it; what was before that goes."""
    former = _manifest(transfer)
    if former is not None:
        earlier = former.previous if former.id == manifest.id else former.id
        manifest = dataclasses.replace(manifest, previous=earlier)
    data = manifest.to_json().encode()
    transfer.retries(lambda: transfer.keeper.write(NAME, data, md5(data)))
    if former is not None and former.previous not in ("", manifest.id, manifest.previous):
        doomed = list(_listed(transfer, f"{CONTENT}/{former.previous}"))
        transfer.retries(lambda: transfer.keeper.remove(doomed))
    return manifest


def _manifest(transfer: Transfer) -> Manifest | None:
    keeper = transfer.keeper
    try:
        entry = transfer.retries(lambda: keeper.stat(NAME))
    except MissingError:
        return None
    data = download.read_all(download.Reading.of(transfer, _unpublished(transfer, entry)))
    return Manifest.from_json(data, keeper.where(NAME))


def _listed(transfer: Transfer, below: str) -> dict[str, Entry]:
    return {entry.name: entry for entry in transfer.retries(lambda: transfer.keeper.entries(below))}


def _unpublished(transfer: Transfer, entry: Entry) -> StoredObject:
    """An object that no manifest describes, in the pieces that its etag was computed from, if known."""
    piece = PIECE_BYTES
    if "-" in entry.etag and is_md5(entry.etag):
        parts = transfer.retries(lambda: transfer.keeper.part_bytes(entry))
        piece = parts if 0 < parts <= LARGEST_PIECE else piece
    return StoredObject(entry.name, entry.size, piece, None, entry.etag)
