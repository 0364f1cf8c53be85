"""What a published artifact is made of: objects with checksums, and the files that lie in them.

A large file is an object of its own; small files lie one behind the other in pack objects. Objects are
cut into pieces of `piece_bytes`, the last one shorter. Where no artifact was published, an object is a file.
"""

import dataclasses
import hashlib
import json
from pathlib import PurePosixPath
from typing import Any

from frcnn.errors import StoreError
from frcnn.storage.checksums import combined_etag

NAME = "frcnn-manifest.json"
FORMAT = "frcnn artifact 1"
CONTENT = "content"


@dataclasses.dataclass(frozen=True)
class StoredObject:
    """An object: its key below the artifact's address, and what to check it by.

    Attributes:
        name: Key below the artifact's address.
        size: Bytes.
        piece_bytes: Size of its pieces but the last; 0 where not known.
        md5s: Checksum of each piece in hex; None where a listing gave only the object's `etag`.
        etag: What the server calls this version; empty if it gives none.
    """

    name: str
    size: int
    piece_bytes: int
    md5s: tuple[str, ...] | None
    etag: str = ""

    def piece(self, number: int) -> tuple[int, int]:
        """Offset and length of a piece, bytes."""
        offset = number * self.piece_bytes
        return offset, min(self.piece_bytes, self.size - offset)

    def expected_etag(self) -> str:
        """What servers that name versions by checksums call it."""
        if self.md5s is None:
            return self.etag
        return self.md5s[0] if len(self.md5s) == 1 else combined_etag(self.md5s)


@dataclasses.dataclass(frozen=True)
class StoredFile:
    """A file: `size` bytes at `offset` of object number `object`; `path` is relative, with slashes."""

    path: str
    object: int
    offset: int
    size: int


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Where a file can be read: `size` bytes at `offset` of an object, of which `etag` names the version.

    `etag` is empty where the object's name is never given to other contents.
    """

    path: str
    object: str
    offset: int
    size: int
    etag: str = ""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The contents of an artifact: `id` names them, and `previous` those that were published before."""

    id: str
    objects: tuple[StoredObject, ...]
    files: tuple[StoredFile, ...]
    previous: str = ""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(each.size for each in self.objects)

    def to_json(self) -> str:
        """As it is stored."""
        facts = {"format": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(facts, ensure_ascii=False, separators=(",", ":")) + "\n"

    @classmethod
    def from_json(cls, text: bytes, where: str) -> "Manifest":
        """What `to_json` wrote.

        Raises:
            StoreError: It did not, or a newer version did, or a path in it leads out of the folder.
        """
        try:
            facts = json.loads(text)
            if facts.pop("format") != FORMAT:
                raise ValueError("another format")
            objects = tuple(_object(each) for each in facts.pop("objects"))
            files = tuple(StoredFile(**each) for each in facts.pop("files"))
            found = cls(objects=objects, files=files, **facts)
            _check(found)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{where}: not a manifest that this version of frcnn reads ({error}); publish again"
            ) from error
        return found


def published(objects: tuple[StoredObject, ...], files: tuple[StoredFile, ...]) -> Manifest:
    """The manifest of these contents. Names, sizes and checksums make its id, and that the objects' place."""
    facts = [*map(dataclasses.astuple, objects), *map(dataclasses.astuple, files)]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    placed = tuple(dataclasses.replace(each, name=f"{CONTENT}/{name}/{each.name}") for each in objects)
    return Manifest(name, placed, files)


def safe_path(name: str) -> bool:
    """Whether a file's name from elsewhere stays below the folder that it is put into."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _object(facts: dict[str, Any]) -> StoredObject:
    found = StoredObject(**{**facts, "md5s": tuple(facts["md5s"])})
    pieces = -(-found.size // found.piece_bytes) if found.size else 1
    if len(found.md5s or ()) != pieces:
        raise ValueError(f"{found.name} has {pieces} pieces and other checksums")
    return found


def _check(manifest: Manifest) -> None:
    for each in manifest.objects:
        if not safe_path(each.name):
            raise ValueError(f"object {each.name!r}")
    for file in manifest.files:
        if not safe_path(file.path):
            raise ValueError(f"file {file.path!r}")
        if not 0 <= file.offset <= file.offset + file.size <= manifest.objects[file.object].size:
            raise ValueError(f"file {file.path!r} is not within its object")
