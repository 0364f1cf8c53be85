"""Interface of storage backends: a bucket on S3 or a folder. Names are relative to one address."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class Entry:
    """Object in a listing.

    Attributes:
        name: Name relative to the backend's address.
        size: Size in bytes.
        etag: Version of the object; empty if the backend has no versions.
    """

    name: str
    size: int
    etag: str = ""


@dataclasses.dataclass(frozen=True)
class Upload:
    """Unfinished multipart upload.

    Attributes:
        id: Id of the upload.
        parts: Part number, from 1, to MD5 (hex) of the parts that have arrived.
    """

    id: str
    parts: dict[int, str]


class StorageBackend(Protocol):
    """Storage backend; each method makes one request.

    All methods may raise `StoreError`, or the retryable error class of `frcnn.storage.faults` if another
    attempt may succeed.

    Attributes:
        lists_checksums: Whether ETags in listings are checksums of the content, unless the server encrypts.
    """

    lists_checksums: bool

    def where(self, name: str = "") -> str:
        """Returns the address of an object, for messages.

        Args:
            name: Name of the object; empty for the backend's own address.
        """

    def check(self) -> None:
        """Checks that the bucket exists.

        Raises:
            StoreError: The bucket is missing.
        """

    def entries(self, below: str = "") -> list[Entry]:
        """Lists objects, sorted by name.

        Args:
            below: Folder to list, without a slash at its end; empty for all objects.

        Returns:
            Objects whose names begin with `below` and a slash.
        """

    def stat(self, name: str) -> Entry:
        """Returns size and version of an object.

        Args:
            name: Name of the object.

        Raises:
            MissingError: The object does not exist.
        """

    def read(self, name: str, offset: int, length: int, etag: str = "") -> bytes:
        """Reads a range of an object.

        Args:
            name: Name of the object.
            offset: First byte.
            length: Number of bytes.
            etag: Expected version; empty for any.

        Returns:
            The bytes.

        Raises:
            ChangedError: The object no longer has the version `etag`.
            MissingError: The object does not exist.
        """

    def write(self, name: str, data: bytes, md5: str) -> None:
        """Writes an object atomically in one request.

        Args:
            name: Name of the object.
            data: Content.
            md5: MD5 of the content (hex), which the receiver verifies.
        """

    def swap(self, name: str, data: bytes, md5: str, previous: Entry | None, previous_md5: str) -> None:
        """Replaces an object atomically, unless another writer has replaced it in the meantime.

        Args:
            name: Name of the object.
            data: New content.
            md5: MD5 of the new content (hex).
            previous: Expected current entry, as returned by `stat`; `None` if there was no object.
            previous_md5: MD5 of the expected current content (hex); empty if there was no object.

        Raises:
            ChangedError: The object was replaced in the meantime.
        """

    def remove(self, names: Iterable[str]) -> None:
        """Removes objects; missing ones are ignored.

        Args:
            names: Names of the objects.
        """

    def begin(self, name: str) -> Upload:
        """Begins a multipart upload, or resumes an interrupted one.

        Args:
            name: Name of the object.

        Returns:
            The upload, with the parts that have already arrived.
        """

    def part(self, name: str, upload: Upload, number: int, offset: int, data: bytes, md5: str) -> None:
        """Uploads one part. All parts but the last have the same size.

        Args:
            name: Name of the object.
            upload: Upload as returned by `begin`.
            number: Number of the part, from 1.
            offset: Offset of the part in the object, bytes.
            data: Content of the part.
            md5: MD5 of the part (hex), which the receiver verifies.
        """

    def complete(self, name: str, upload: Upload, md5s: Sequence[str]) -> None:
        """Joins the parts into one object, which becomes visible atomically.

        Args:
            name: Name of the object.
            upload: Upload as returned by `begin`.
            md5s: MD5 of every part (hex), in order.
        """

    def abandon(self) -> None:
        """Removes the parts of uploads that this backend began and cannot resume."""

    def part_bytes(self, entry: Entry) -> int:
        """Returns the size of an object's parts when it was uploaded, in bytes; 0 if unknown.

        Args:
            entry: The object.
        """
