"""Names that somebody else chose, as paths below a folder of ours: the one place where the two meet.

A server's listing, a manifest, an archive, a record or an annotation file may hold any text where it should
hold a relative name. `below` makes a path of such a name or refuses it, as `tarfile`'s data filter does.
"""

import os
import re
from pathlib import Path, PurePosixPath

from frcnn.errors import FrcnnError

# What Linux takes: bytes of one part of a path, and of a whole one.
MOST_PART_BYTES, MOST_PATH_BYTES = 255, 4096 - 1
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class UnsafeNameError(FrcnnError):
    """A name that leads out of the folder it is meant for, or is no name of a file (exit code 1)."""


def below(folder: Path, name: str, source: str = "", *, follow_links: bool = False) -> Path:
    """Returns the path of `name` below `folder`.

    Args:
        folder: Where it has to stay; need not be there.
        name: Relative, with slashes, as it came from elsewhere.
        source: What messages call the origin of the name, such as `s3://bucket/key`.
        follow_links: Allow symbolic links below `folder` that lead out of it. Only for reading what
            the folder's owner is meant to have linked there.

    Raises:
        UnsafeNameError: The name is absolute, goes upwards, is no plain name, or passes a link that leads
            out of the folder.
    """
    fault = fault_of(name)
    path = folder / name if fault is None else folder
    if fault is None and not follow_links and not _stays(folder, path):
        fault = "passes a link that leads elsewhere"
    if fault is not None:
        origin = f"{source}: " if source else ""
        raise UnsafeNameError(
            f"{origin}the name {name!r:.300} {fault}; expected a relative name that stays below its folder; "
            "do not trust where it comes from"
        )
    return path


def fault_of(name: str) -> str | None:
    """Says what keeps a foreign name from being a relative path, None if nothing does. Looks at no disk."""
    if not name:
        return "is empty"
    if _CONTROL.search(name):
        return "has control characters"
    if name.startswith("/"):
        return "is absolute"
    parts = name.split("/")
    if ".." in parts:
        return "goes upwards (..)"
    if name != str(PurePosixPath(name)) or name == ".":
        return "has empty parts or parts that are a dot"
    try:
        longest, whole = max(len(os.fsencode(part)) for part in parts), len(os.fsencode(name))
    except UnicodeEncodeError:
        return "has characters that no file's name can have"
    if longest > MOST_PART_BYTES or whole > MOST_PATH_BYTES:
        return "is longer than any file's name"
    return None


def _stays(folder: Path, path: Path) -> bool:
    real = os.path.realpath(folder)
    return os.path.commonpath([real, os.path.realpath(path)]) == real
