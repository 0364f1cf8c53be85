"""Finds record files on S3 by pattern and reads byte ranges of them."""

import dataclasses
import fnmatch
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from frcnn.data.records.offsets import list_name
from frcnn.errors import DataError
from frcnn.storage import Store
from frcnn.storage.transfer import Transfer

_GLOB = frozenset("*?[")


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A file on S3: an object or a part of one.

    Attributes:
        uri: URI for messages and names.
        size: Size, bytes.
        object: Key of the object, relative to the address of `transfer`.
        offset: Offset of the file within the object, bytes.
        etag: ETag of the object; empty if the object is never overwritten.
        transfer: Client that sends the requests.
        offsets: Index of record offsets, if it exists (`frcnn.data.records.offsets`).
    """

    uri: str
    size: int
    object: str
    offset: int
    etag: str
    transfer: Transfer = dataclasses.field(repr=False, compare=False)
    offsets: "RemoteFile | None" = None

    @property
    def name(self) -> str:
        """Last component of the URI."""
        return PurePosixPath(self.uri).name

    def read(self, offset: int, length: int) -> bytes:
        """Reads a byte range of the file.

        Args:
            offset: First byte.
            length: Number of bytes.

        Raises:
            StoreError: The object is missing, was replaced, or S3 is unreachable.
        """
        backend, start = self.transfer.backend, self.offset + offset
        return self.transfer.retries(lambda: backend.read(self.object, start, length, self.etag))

    def __str__(self) -> str:
        """Returns the URI."""
        return self.uri


RecordFile: TypeAlias = Path | RemoteFile


def matching(pattern: str, store: Store | None = None) -> list[RemoteFile]:
    """Lists the files that match an S3 pattern, sorted by path.

    Args:
        pattern: Pattern such as `s3://bucket/folder/name*`. Wildcards do not match a slash.
        store: S3 connection; by default, the one configured in the environment.

    Raises:
        DataError: The pattern has a wildcard in the bucket name or no path.
        StoreError: The bucket does not exist or S3 is unreachable.
    """
    store = store or Store.from_environment()
    base, wanted = _split(pattern)
    transfer = store.transfer(base)
    every = {
        each.path: RemoteFile(f"{base}/{each.path}", each.size, each.object, each.offset, each.etag, transfer)
        for each in store.files(base)
    }
    return [
        dataclasses.replace(file, offsets=every.get(str(PurePosixPath(path).with_name(list_name(file.name)))))
        for path, file in sorted(every.items())
        if _matches(path, wanted)
    ]


def _split(pattern: str) -> tuple[str, str]:
    """Splits a pattern into the part without wildcards and the rest.

    Raises:
        DataError: The bucket name has a wildcard, or no path follows it.
    """
    scheme, _, rest = pattern.partition("://")
    parts = rest.strip("/").split("/")
    plain = 0
    while plain < len(parts) - 1 and not _GLOB & set(parts[plain]):
        plain += 1
    if plain == 0:
        raise DataError(f"{pattern}: expected s3://bucket/folder/files*")
    return f"{scheme}://{'/'.join(parts[:plain])}", "/".join(parts[plain:])


def _matches(path: str, pattern: str) -> bool:
    names, wanted = path.split("/"), pattern.split("/")
    return len(names) == len(wanted) and all(
        fnmatch.fnmatchcase(name, each) and (not name.startswith(".") or each.startswith("."))
        for name, each in zip(names, wanted, strict=True)
    )
