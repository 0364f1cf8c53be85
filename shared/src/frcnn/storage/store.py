"""The store: artifacts and files on S3 or in folders, through the same calls."""

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
from frcnn.storage.backend import Entry, Keeper
from frcnn.storage.checksums import is_md5, md5
from frcnn.storage.faults import ChangedError, DamagedError, MissingError
from frcnn.storage.folder_backend import FolderKeeper
from frcnn.storage.manifest import (
    CONTENT,
    NAME,
    Manifest,
    StoredFile,
    StoredObject,
    Stretch,
    clashing,
    location_of,
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

        Contents lie under a name made from themselves, and the manifest is written last, unless somebody else
        published meanwhile: then all is looked at anew (`publication`). Publishing the same again, or after
        it was cut off, sends only what is missing or damaged. Returns the manifest.

        Raises:
            UsageError: The folder is missing, empty, or holds what is no file.
            StoreError: It cannot be done; names the object, the reason and the remedy.
        """
        transfer = self.transfer(uri)
        contents, sources = plan(folder, transfer.threads)
        transfer.retries(transfer.keeper.check)
        with Meter(f"uploading {folder.name}", contents.size) as meter:
            manifest = publication.repeated(
                lambda: _published(transfer, contents, sources, meter), transfer.keeper.where()
            )
        log.info("published %s: %d files, %s", uri, len(manifest.files), meter.summary())
        return manifest

    def collect(self, uri: str) -> Manifest:
        """Removes what was not used at `uri` for longer than the grace period, as each publication does.

        Raises:
            StoreError: Nothing is published there, or it cannot be done.
        """
        transfer = self.transfer(uri)

        def attempt() -> Manifest:
            former, listed = publication.read_former(transfer), _listed(transfer, CONTENT)
            if former.manifest is None:
                raise MissingError(f"{uri}: nothing is published there; check the URI")
            return _announce(transfer, publication.Draft(former.manifest, former, listed))

        return publication.repeated(attempt, uri)

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
        manifest, entries = _here(transfer)
        if manifest is not None:
            return manifest
        if not entries:
            transfer.retries(transfer.keeper.check)
            raise MissingError(f"{uri}: nothing is there; check the URI (frcnn store ls lists what is)")
        _check_names(uri, entries)
        objects = tuple(_unpublished(transfer, entry) for entry in entries)
        files = tuple(StoredFile(entry.name, n, 0, entry.size) for n, entry in enumerate(entries))
        facts = "\0".join(f"{entry.name}\0{entry.size}\0{entry.etag}" for entry in entries)
        return Manifest(hashlib.sha256(facts.encode()).hexdigest()[:32], objects, files)

    def files(self, uri: str) -> list[Stretch]:
        """Where each file of what lies at `uri` can be read, without a request for each; none is no error.

        Raises:
            StoreError: The bucket is missing or out of reach.
        """
        manifest, entries = _here(self.transfer(uri))
        if manifest is None:
            return [Stretch(entry.name, entry.name, 0, entry.size, entry.etag) for entry in entries]
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


def _here(transfer: Transfer) -> tuple[Manifest | None, list[Entry]]:
    """What is published, or else all objects, without those of a first publication that is under way."""
    while True:
        manifest = publication.read_manifest(transfer)
        if manifest is not None:
            return manifest, []
        entries = transfer.retries(transfer.keeper.entries)
        if all(entry.name != NAME for entry in entries):  # else it was published since
            return None, [entry for entry in entries if not location_of(entry.name)]


def _published(transfer: Transfer, contents: Manifest, sources: Sequence[Source], meter: Meter) -> Manifest:
    """One attempt to publish; raises ChangedError if somebody else did meanwhile."""
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
                raise ChangedError(f"{where}: somebody who published meanwhile took it for unused")
            raise StoreError(f"{where}: is not there as it was sent; publish again")
    return _announce(transfer, publication.Draft(placed, former, listed))


def _whole(transfer: Transfer, manifest: Manifest, listed: Mapping[str, Entry]) -> dict[str, Entry]:
    """The objects of the manifest that are there and whole; read where a listing does not tell."""
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
        with Meter("checking what is there", sum(each.size for each in unsure)) as meter:
            transfer.run(functools.partial(check, each) for each in unsure)
    return {name: entry for name, entry in found.items() if name not in damaged}


def _tells(transfer: Transfer, entry: Entry) -> bool:
    return transfer.keeper.tells_checksums and is_md5(entry.etag)


def _announce(transfer: Transfer, draft: publication.Draft) -> Manifest:
    """Puts the manifest in place, then removes what no longer counts."""
    manifest = publication.commit(transfer, draft)
    publication.collect(transfer, manifest, draft.listed)
    return manifest


def _check_names(uri: str, entries: Iterable[Entry]) -> None:
    """Raises StoreError for objects that cannot be files together."""
    names = [entry.name for entry in entries]
    for name in names:
        if (fault := fault_of(name)) is not None:
            raise StoreError(f"{uri}: holds an object whose name {name!r:.300} {fault}; remove it there")
    if clash := clashing(names):
        raise StoreError(f"{uri}: holds an object {clash!r} and others below it; remove one of them there")


def _listed(transfer: Transfer, below: str) -> dict[str, Entry]:
    return {entry.name: entry for entry in transfer.retries(lambda: transfer.keeper.entries(below))}


def _unpublished(transfer: Transfer, entry: Entry) -> StoredObject:
    """An object that no manifest describes, in the pieces that its etag was computed from, if known."""
    piece = PIECE_BYTES
    if "-" in entry.etag and is_md5(entry.etag):
        parts = transfer.retries(lambda: transfer.keeper.part_bytes(entry))
        piece = parts if 0 < parts <= LARGEST_PIECE else piece
    return StoredObject(entry.name, entry.size, piece, None, entry.etag)
