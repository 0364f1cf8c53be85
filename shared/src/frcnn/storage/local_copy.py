"""Local copies of data on S3, in a cache of limited size."""

import contextlib
import dataclasses
import fcntl
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from frcnn.errors import StoreError, UsageError
from frcnn.paths import below
from frcnn.storage.address import is_remote
from frcnn.storage.cache_folder import FOLDER_VARIABLE, default_folder, private_part
from frcnn.storage.store import Store
from frcnn.storage.verify import matches_manifest

log = logging.getLogger(__name__)

LIMIT_VARIABLE = "FRCNN_CACHE_LIMIT"
DEFAULT_LIMIT = "50GiB"
_UNITS = {unit: 1000**n for n, unit in enumerate(("", "k", "m", "g", "t"))}
_UNITS |= {f"{unit}i": 1024**n for n, unit in enumerate(("", "k", "m", "g", "t")) if n}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", re.IGNORECASE)
# Locks of the copies that this process uses; the system releases them when the process ends.
_in_use: list[int] = []


@dataclasses.dataclass(frozen=True)
class CacheSettings:
    """Settings of the cache.

    Attributes:
        folder: Cache folder.
        limit: Maximum total size of the copies, bytes.
    """

    folder: Path
    limit: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "CacheSettings":
        """Reads FRCNN_CACHE and FRCNN_CACHE_LIMIT, such as `200GiB`.

        Args:
            environment: Environment variables; default: those of this process.

        Returns:
            The settings.

        Raises:
            UsageError: The limit is not a size.
        """
        known = os.environ if environment is None else environment
        folder = known.get(FOLDER_VARIABLE) or default_folder()
        return cls(Path(folder), _bytes(known.get(LIMIT_VARIABLE) or DEFAULT_LIMIT))


def local_copy(given: str, flag: str, store: Store | None = None) -> Path:
    """Returns a local folder, or a local copy of the data at an S3 URI.

    A copy is reused while its content and the content at the URI are unchanged (names, sizes, checksums). The
    least recently used copies are removed to make room for a new one.

    Args:
        given: Path or URI.
        flag: Flag that `given` comes from, for messages, such as `convert --data`.
        store: Store to fetch from; default: the store configured by the environment.

    Returns:
        Path of the folder or copy.

    Raises:
        StoreError: The folder is missing, or the data at the URI is missing, too large or unreachable.
        UsageError: FRCNN_CACHE_LIMIT is not a size.
    """
    if not is_remote(given):
        if not Path(given).is_dir():
            raise StoreError(f"{flag} {given}: no such folder; is its volume mounted into the step?")
        return Path(given)
    store, settings = store or Store.from_environment(), CacheSettings.from_environment()
    try:
        copies = private_part(settings.folder, "copies")
        manifest = store.contents(given)
        folder = below(copies, manifest.id, given)
        _use(folder)
        with _one_at_a_time(folder):
            if folder.is_dir() and not matches_manifest(folder, manifest):
                log.warning("Fetching %s again: the local copy is damaged", folder)
                shutil.rmtree(folder)
            if not folder.is_dir():
                _make_room(copies, manifest.size, settings, given)
                store.fetch(given, folder)
    except StoreError as error:
        raise type(error)(f"{flag} {error}") from error
    log.info("%s: using the local copy of %s in %s", flag, given, folder)
    return folder


def _use(folder: Path) -> None:
    """Marks a copy as used now, and protects it from removal while this process runs."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder.with_name(f"{folder.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
    fcntl.flock(lock, fcntl.LOCK_SH)
    os.utime(lock)
    _in_use.append(lock)


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Lets one process make a copy; others that need the same copy wait for it."""
    with folder.with_name(f".{folder.name}.making").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _make_room(copies: Path, size: int, settings: CacheSettings, given: str) -> None:
    """Removes unused copies, least recently used first, until `size` more bytes fit."""
    for lock in sorted(copies.glob("*.lock"), key=lambda path: path.stat().st_mtime):
        if _fits(copies, size, settings.limit):
            return
        with _alone(lock) as alone:
            if alone:
                for path in (lock.with_suffix(""), *copies.glob(f".{lock.stem}.partial-*")):
                    shutil.rmtree(path, ignore_errors=True)
                lock.unlink(missing_ok=True)
    if not _fits(copies, size, settings.limit):
        free = shutil.disk_usage(copies).free
        raise StoreError(
            f"{given}: {size / 1e9:.1f} GB do not fit into {copies} (limit {settings.limit / 1e9:.1f} GB, "
            f"{free / 1e9:.1f} GB free on the disk); raise {LIMIT_VARIABLE}, or set {FOLDER_VARIABLE} to "
            "a folder on a larger disk."
        )


def _fits(copies: Path, size: int, limit: int) -> bool:
    used = sum(path.lstat().st_size for path in copies.rglob("*"))
    return used + size <= limit and size <= shutil.disk_usage(copies).free


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    handle = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{LIMIT_VARIABLE} is {text!r}; expected a size such as 200GiB")
    return int(float(match[1]) * _UNITS[match[2].lower()])
