"""Turns names from untrusted sources into paths below a given folder; no other code may do so.

A server's listing, a manifest, an archive, a record or an annotation file may contain any text instead of a
relative name. `below` turns such a name into a path or refuses it, like the data filter of `tarfile`.
"""

import os
import re
from pathlib import Path, PurePosixPath

from frcnn.errors import FrcnnError

# Limits of Linux: bytes of one path component, and of a whole path.
MAX_PART_BYTES, MAX_PATH_BYTES = 255, 4096 - 1
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class UnsafeNameError(FrcnnError):
    """Name that leads out of its folder, or is not a file name (exit code 1)."""


def below(folder: Path, name: str, source: str = "", *, follow_links: bool = False) -> Path:
    """Returns the path of a name below a folder.

    Args:
        folder: Folder that must contain the path; need not exist.
        name: Relative name with slashes, from an untrusted source.
        source: Origin of the name, for messages, such as `s3://bucket/key`.
        follow_links: Whether to allow symbolic links below `folder` that lead out of it. Only for reading
            data to which the folder's owner may have linked.

    Returns:
        The path.

    Raises:
        UnsafeNameError: The name is absolute, contains `..`, is not a valid file name, or passes a link that
            leads out of the folder.
    """
    fault = fault_of(name)
    path = folder / name if fault is None else folder
    if fault is None and not follow_links and not _stays(folder, path):
        fault = "passes a link that leads elsewhere"
    if fault is not None:
        origin = f"{source}: " if source else ""
        raise UnsafeNameError(
            f"{origin}the name {name!r:.300} {fault}; expected a relative name that stays below its folder. "
            "Do not trust its source."
        )
    return path


def fault_of(name: str) -> str | None:
    """Returns the reason why a name is not a relative path, for messages; accesses no files.

    Args:
        name: Name from an untrusted source.

    Returns:
        The reason; `None` if the name is valid.
    """
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
        return "has empty or '.' components"
    try:
        longest, whole = max(len(os.fsencode(part)) for part in parts), len(os.fsencode(name))
    except UnicodeEncodeError:
        return "has characters that are invalid in file names"
    if longest > MAX_PART_BYTES or whole > MAX_PATH_BYTES:
        return "is too long for a file name"
    return None


def _stays(folder: Path, path: Path) -> bool:
    real = os.path.realpath(folder)
    return os.path.commonpath([real, os.path.realpath(path)]) == real
