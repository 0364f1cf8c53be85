"""Manifest of an artifact: its objects with their checksums, and the files inside them.

A large file is a separate object; small files are concatenated in pack objects. Objects are divided into
pieces of `piece_bytes`, the last one shorter. Without a published artifact, each object is a file.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from frcnn.errors import StoreError
from frcnn.limits import MANIFEST_BYTES, MANIFEST_VALUES, PIECE_BYTES, parse_json
from frcnn.paths import fault_of
from frcnn.storage.checksums import combined_etag

NAME = "frcnn-manifest.json"
FORMAT = "frcnn artifact 1"
CONTENT = "content"
_ID = re.compile(r"[0-9a-f]{32}")
# Locations of contents: a hash of the content and an optional suffix, since a location is filled only once.
_LOCATION = re.compile(r"[0-9a-f]{32}(?:-[0-9a-f]{1,32})?")
_SERIAL = re.compile(r"[0-9a-f]{0,64}")


@dataclasses.dataclass(frozen=True)
class StoredObject:
    """Object of an artifact, and the data to verify it.

    Attributes:
        name: Key below the artifact's address.
        size: Size in bytes.
        piece_bytes: Size of each piece but the last; 0 if unknown.
        md5s: MD5 of each piece (hex); `None` if a listing gave only the object's `etag`.
        etag: Version given by the server; empty for none.
    """

    name: str
    size: int
    piece_bytes: int
    md5s: tuple[str, ...] | None
    etag: str = ""

    def piece(self, number: int) -> tuple[int, int]:
        """Returns offset and length of a piece, bytes.

        Args:
            number: Index of the piece, from 0.
        """
        offset = number * self.piece_bytes
        return offset, min(self.piece_bytes, self.size - offset)

    def expected_etag(self) -> str:
        """Returns the ETag on servers that use checksums as versions."""
        if self.md5s is None:
            return self.etag
        return self.md5s[0] if len(self.md5s) == 1 else combined_etag(self.md5s)


@dataclasses.dataclass(frozen=True)
class StoredFile:
    """File inside an object.

    Attributes:
        path: Relative path, with slashes.
        object: Index of the object in the manifest.
        offset: Offset in the object, bytes.
        size: Size in bytes.
    """

    path: str
    object: int
    offset: int
    size: int


@dataclasses.dataclass(frozen=True)
class ByteRange:
    """Byte range of an object that contains one file.

    Attributes:
        path: Relative path of the file, with slashes.
        object: Name of the object.
        offset: Offset in the object, bytes.
        size: Size in bytes.
        etag: Version of the object; empty if its name is never reused for other content.
    """

    path: str
    object: str
    offset: int
    size: int
    etag: str = ""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Contents of an artifact.

    Attributes:
        id: Hash of the contents, independent of their location.
        objects: Objects of the artifact.
        files: Files inside the objects.
        previous: Location of the previous publication; empty for none.
        unused: Locations that neither this manifest nor its predecessor names, each with the Unix time (s)
            since when it is unused.
        condemned: Locations that are never used again; their objects may be removed at any time.
        serial: Random value of each publication, so that no two manifests have the same bytes.
    """

    id: str
    objects: tuple[StoredObject, ...]
    files: tuple[StoredFile, ...]
    previous: str = ""
    unused: Mapping[str, int] = dataclasses.field(default_factory=dict)
    condemned: tuple[str, ...] = ()
    serial: str = ""

    @property
    def size(self) -> int:
        """Total size in bytes."""
        return sum(each.size for each in self.objects)

    @property
    def location(self) -> str:
        """Location of the objects below `content/`; empty if nothing is published."""
        return location_of(self.objects[0].name) if self.objects else ""

    def at(self, location: str) -> "Manifest":
        """Returns a manifest of the same contents in another location.

        Args:
            location: Name below `content/`.
        """
        start = len(f"{CONTENT}/{self.location}")
        root = f"{CONTENT}/{location}"
        moved = (dataclasses.replace(each, name=f"{root}{each.name[start:]}") for each in self.objects)
        return dataclasses.replace(self, objects=tuple(moved))

    def to_json(self) -> str:
        """Serializes the manifest for storage."""
        facts = {"format": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(facts, ensure_ascii=False, separators=(",", ":")) + "\n"

    @classmethod
    def from_json(cls, text: bytes, where: str) -> "Manifest":
        """Parses the output of `to_json`.

        Args:
            text: JSON text.
            where: Address of the manifest, for messages.

        Returns:
            The manifest.

        Raises:
            StoreError: The manifest is invalid or of a newer format, or contains an unsafe name.
        """
        try:
            facts = parse_json(text, MANIFEST_BYTES, MANIFEST_VALUES)
            if facts.pop("format") != FORMAT:
                raise ValueError("another format")
            objects = tuple(_object(each) for each in facts.pop("objects"))
            files = tuple(StoredFile(**each) for each in facts.pop("files"))
            condemned = tuple(facts.pop("condemned", ()))
            found = cls(objects=objects, files=files, condemned=condemned, **facts)
            _check(found)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError) as error:
            reason = str(error)[:200]
            raise StoreError(
                f"{where}: not a manifest that this version of frcnn reads ({reason}); publish again."
            ) from error
        return found


def published(objects: tuple[StoredObject, ...], files: tuple[StoredFile, ...]) -> Manifest:
    """Creates the manifest of new contents.

    Args:
        objects: Objects, with names relative to their location.
        files: Files inside the objects.

    Returns:
        The manifest. Its id is a hash of names, sizes and checksums, and also the objects' location.
    """
    facts = [*map(dataclasses.astuple, objects), *map(dataclasses.astuple, files)]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    placed = tuple(dataclasses.replace(each, name=f"{CONTENT}/{name}/{each.name}") for each in objects)
    return Manifest(name, placed, files)


def location_of(name: str) -> str:
    """Returns the location that contains an object; empty if there is none.

    Args:
        name: Key below the artifact's address.
    """
    parts = name.split("/", 2)
    return parts[1] if len(parts) == 3 and parts[0] == CONTENT and _LOCATION.fullmatch(parts[1]) else ""


def _object(facts: dict[str, Any]) -> StoredObject:
    found = StoredObject(**{**facts, "md5s": tuple(facts["md5s"])})
    if not (_is_count(found.size) and _is_count(found.piece_bytes)):
        raise ValueError(f"{found.name} has an invalid size")
    if found.piece_bytes > PIECE_BYTES:
        raise ValueError(f"{found.name} has pieces of {found.piece_bytes} bytes")
    pieces = -(-found.size // found.piece_bytes) if found.size else 1
    if len(found.md5s or ()) != pieces:
        raise ValueError(f"{found.name} has {pieces} pieces but {len(found.md5s or ())} checksums")
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check(manifest: Manifest) -> None:
    """Raises `ValueError` for a manifest that `to_json` cannot have written."""
    _check_marks(manifest)
    for each in manifest.objects:
        if fault_of(each.name) is not None or location_of(each.name) != manifest.location:
            raise ValueError(f"object {each.name!r}")
    left = [each.size for each in manifest.objects]
    for file in manifest.files:
        if (fault := fault_of(file.path)) is not None:
            raise ValueError(f"file {file.path!r} {fault}")
        if not all(map(_is_count, (file.object, file.offset, file.size))):
            raise ValueError(f"file {file.path!r} has an invalid position")
        if file.offset + file.size > manifest.objects[file.object].size:
            raise ValueError(f"file {file.path!r} exceeds its object")
        left[file.object] -= file.size
    if any(each < 0 for each in left):
        raise ValueError("overlapping files")
    if clash := clashing(file.path for file in manifest.files):
        raise ValueError(f"file {clash!r} is listed twice, or is also a folder")


def _check_marks(manifest: Manifest) -> None:
    """Raises `ValueError` for an invalid id or location; they decide what is read and removed."""
    if not manifest.objects or not manifest.location:
        raise ValueError("objects without a location")
    if not (_ID.fullmatch(manifest.id) and _SERIAL.fullmatch(manifest.serial)):
        raise ValueError(f"id {manifest.id!r}")
    locations = [*manifest.unused, *manifest.condemned, *filter(None, [manifest.previous])]
    for location in locations:
        if not _LOCATION.fullmatch(location):
            raise ValueError(f"location {location!r}")
    if not all(map(_is_count, manifest.unused.values())):
        raise ValueError("invalid time of an unused location")


def clashing(paths: Iterable[str]) -> str:
    """Finds a path that occurs twice or lies below another file of the list.

    Args:
        paths: Relative paths, with slashes.

    Returns:
        One such path; empty if there is none.
    """
    known: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        if path in known:
            return path
        known.add(path)
        above = path.rpartition("/")[0]
        while above and above not in folders:
            folders.add(above)
            above = above.rpartition("/")[0]
    return next(iter(known & folders), "")
