"""What can keep objects: a bucket on S3 or a folder. Names are relative to one address."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class Entry:
    """An object in a listing; `etag` names its version, empty if the keeper has none."""

    name: str
    size: int
    etag: str = ""


@dataclasses.dataclass(frozen=True)
class Upload:
    """An unfinished upload by parts: its id, and the MD5 (hex) of each part that has arrived, from 1."""

    id: str
    parts: dict[int, str]


class Keeper(Protocol):
    """One request a call. All may raise `StoreError`, and `PassingFault` where trying again may help.

    Attributes:
        tells_checksums: Whether the versions in listings say what the bytes are, unless the server encrypts.
    """

    tells_checksums: bool

    def where(self, name: str = "") -> str:
        """The address of an object, for messages."""

    def check(self) -> None:
        """Raises StoreError if nothing can be written here because the bucket is missing."""

    def entries(self, below: str = "") -> list[Entry]:
        """All objects, or those whose names begin with `below` and a slash; by name."""

    def stat(self, name: str) -> Entry:
        """Size and version of one object; MissingError if there is none."""

    def read(self, name: str, offset: int, length: int, etag: str = "") -> bytes:
        """A stretch of an object; ChangedError if `etag` is given and no longer its version."""

    def write(self, name: str, data: bytes, md5: str) -> None:
        """An object in one go. It is seen whole or not at all; `md5` (hex) is checked where it arrives."""

    def swap(self, name: str, data: bytes, md5: str, former: Entry | None, former_md5: str) -> None:
        """As `write`, if the object still is what `former` says: one step, whoever else writes it.

        Args:
            name: Of the object.
            data: Its new bytes.
            md5: Of these (hex).
            former: As `stat` gave it, None if there was none.
            former_md5: Of the bytes that were read then, empty if there was none.

        Raises:
            ChangedError: It is another one now.
        """

    def remove(self, names: Iterable[str]) -> None:
        """Removes objects; those that are not there do not matter."""

    def begin(self, name: str) -> Upload:
        """An upload by parts, taken up again if an earlier one was cut off."""

    def part(self, name: str, upload: Upload, number: int, offset: int, data: bytes, md5: str) -> None:
        """One part, numbered from 1, that begins at `offset`; `md5` as in `write`.

        All parts but the last have the same size.
        """

    def complete(self, name: str, upload: Upload, md5s: Sequence[str]) -> None:
        """Makes the parts one object, seen whole from now on."""

    def part_bytes(self, entry: Entry) -> int:
        """Size of the parts that an object's etag was computed from; 0 where that cannot be known."""
