"""What a published artifact is made of: objects with checksums, and the files that lie in them.

A large file is an object of its own; small files lie one behind the other in pack objects. Objects are
cut into pieces of `piece_bytes`, the last one shorter. Where no artifact was published, an object is a file.
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
# Where contents lie: named by themselves and, since each location is filled once, by chance.
_LOCATION = re.compile(r"[0-9a-f]{32}(?:-[0-9a-f]{1,32})?")
_SERIAL = re.compile(r"[0-9a-f]{0,64}")


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
    """The contents of an artifact.

    Attributes:
        id: Names the contents, wherever they lie.
        objects: What they are made of.
        files: What lies in the objects.
        previous: Location of what was published before.
        unused: Locations that neither this manifest nor the one before names, and since when (Unix time, s).
        condemned: Locations whose objects may be removed at any time; none of them is ever used again.
        serial: Differs from one publication to the next, so that no two manifests are the same bytes.
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
        """Bytes in all."""
        return sum(each.size for each in self.objects)

    @property
    def location(self) -> str:
        """Where the objects lie, below `content/`; empty if nothing was published."""
        return location_of(self.objects[0].name) if self.objects else ""

    def at(self, location: str) -> "Manifest":
        """Returns the same contents in another location."""
        start = len(f"{CONTENT}/{self.location}")
        root = f"{CONTENT}/{location}"
        moved = (dataclasses.replace(each, name=f"{root}{each.name[start:]}") for each in self.objects)
        return dataclasses.replace(self, objects=tuple(moved))

    def to_json(self) -> str:
        """As it is stored."""
        facts = {"format": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(facts, ensure_ascii=False, separators=(",", ":")) + "\n"

    @classmethod
    def from_json(cls, text: bytes, where: str) -> "Manifest":
        """What `to_json` wrote.

        Raises:
            StoreError: It did not, or a newer version did, or a name in it leads out of its folder.
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
                f"{where}: not a manifest that this version of frcnn reads ({reason}); publish again"
            ) from error
        return found


def published(objects: tuple[StoredObject, ...], files: tuple[StoredFile, ...]) -> Manifest:
    """The manifest of these contents. Names, sizes and checksums make its id, and that the objects' place."""
    facts = [*map(dataclasses.astuple, objects), *map(dataclasses.astuple, files)]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    placed = tuple(dataclasses.replace(each, name=f"{CONTENT}/{name}/{each.name}") for each in objects)
    return Manifest(name, placed, files)


def location_of(name: str) -> str:
    """Returns the location that an object's name is in; empty if it is in none."""
    parts = name.split("/", 2)
    return parts[1] if len(parts) == 3 and parts[0] == CONTENT and _LOCATION.fullmatch(parts[1]) else ""


def _object(facts: dict[str, Any]) -> StoredObject:
    found = StoredObject(**{**facts, "md5s": tuple(facts["md5s"])})
    if not (_is_count(found.size) and _is_count(found.piece_bytes)):
        raise ValueError(f"{found.name} has a size that is no number of bytes")
    if found.piece_bytes > PIECE_BYTES:
        raise ValueError(f"{found.name} has pieces of {found.piece_bytes} bytes")
    pieces = -(-found.size // found.piece_bytes) if found.size else 1
    if len(found.md5s or ()) != pieces:
        raise ValueError(f"{found.name} has {pieces} pieces and other checksums")
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check(manifest: Manifest) -> None:
    """Raises ValueError for anything that is not as `to_json` writes it."""
    _check_marks(manifest)
    for each in manifest.objects:
        if fault_of(each.name) is not None or location_of(each.name) != manifest.location:
            raise ValueError(f"object {each.name!r}")
    left = [each.size for each in manifest.objects]
    for file in manifest.files:
        if (fault := fault_of(file.path)) is not None:
            raise ValueError(f"file {file.path!r} {fault}")
        if not all(map(_is_count, (file.object, file.offset, file.size))):
            raise ValueError(f"file {file.path!r} has a place that is no number")
        if file.offset + file.size > manifest.objects[file.object].size:
            raise ValueError(f"file {file.path!r} is not within its object")
        left[file.object] -= file.size
    if any(each < 0 for each in left):
        raise ValueError("files that share bytes")
    if clash := clashing(file.path for file in manifest.files):
        raise ValueError(f"file {clash!r} is there twice, or is a folder too")


def _check_marks(manifest: Manifest) -> None:
    """Raises ValueError for names of contents that are none: they choose what is read, kept and removed."""
    if not manifest.objects or not manifest.location:
        raise ValueError("objects that lie in no location")
    if not (_ID.fullmatch(manifest.id) and _SERIAL.fullmatch(manifest.serial)):
        raise ValueError(f"id {manifest.id!r}")
    locations = [*manifest.unused, *manifest.condemned, *filter(None, [manifest.previous])]
    for location in locations:
        if not _LOCATION.fullmatch(location):
            raise ValueError(f"location {location!r}")
    if not all(map(_is_count, manifest.unused.values())):
        raise ValueError("a location that is unused since no time")


def clashing(paths: Iterable[str]) -> str:
    """Returns a path that is there twice or lies below another file of the list; empty if there is none."""
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
