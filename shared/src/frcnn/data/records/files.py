"""Record files on S3: which ones a pattern names, and stretches of them."""

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
    """A file on S3, an object or part of one.

    Attributes:
        uri: What people call it.
        size: Bytes.
        object: Key of the object below the address of `transfer`.
        offset: Where the file begins in the object.
        etag: Version of the object; empty where its name is never given to other contents.
        transfer: Makes the requests.
        offsets: The list of where its records begin, if there is one (`frcnn.data.records.offsets`).
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
        """The last part of the URI."""
        return PurePosixPath(self.uri).name

    def read(self, offset: int, length: int) -> bytes:
        """A stretch of the file.

        Raises:
            StoreError: It is gone, was replaced, or is out of reach.
        """
        keeper, start = self.transfer.keeper, self.offset + offset
        return self.transfer.retries(lambda: keeper.read(self.object, start, length, self.etag))

    def __str__(self) -> str:
        """The URI."""
        return self.uri


RecordFile: TypeAlias = Path | RemoteFile


def matching(pattern: str, store: Store | None = None) -> list[RemoteFile]:
    """The files whose URIs match `s3://bucket/folder/name*`, sorted; `*` and the like do not match a slash.

    Raises:
        StoreError: The bucket is missing or out of reach.
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
    """The address without wildcards that all matches lie under, and the pattern below it.

    Raises:
        DataError: A wildcard in the bucket's name, or nothing after it.
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
