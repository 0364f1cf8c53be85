"""Defines which files are images: one rule for converter, loader, demo, inference and calibration.

An image is a file whose name ends in `.jpg`, `.jpeg` or `.png`, in any case, and does not start with a dot.
Its content is checked when it is opened (`frcnn.regular_file`): pipes, devices, sockets and folders with
such names are reported and counted like broken images. A record names its image file. If it does not, as
in records of TAO, the extension in the spec is tried first, then the others.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png")
_SIBLINGS = {"jpg": "jpeg", "jpeg": "jpg"}


def is_image_name(name: str) -> bool:
    """Checks whether a file name is that of an image."""
    return not name.startswith(".") and _suffix(name) in SUFFIXES


def stem_of(name: str) -> str:
    """Returns the name or path of an image without the extension."""
    head, dot, tail = name.rpartition(".")
    return head if dot and "/" not in tail else name


def image_names(folder: Path) -> list[str]:
    """Lists the names of the images directly in `folder`, sorted."""
    return sorted(path.name for path in folder.iterdir() if is_image_name(path.name))


def images_below(folder: Path) -> tuple[int, str]:
    """Counts the images in the subfolders of a folder; links to folders are not followed.

    Args:
        folder: Existing folder.

    Returns:
        Number of images, and the path of one of them relative to `folder`; empty without any.
    """
    count, first = 0, ""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found = [] if Path(place) == folder else [name for name in names if is_image_name(name)]
        count += len(found)
        first = first or (str(Path(place, min(found)).relative_to(folder)) if found else "")
    return count, first


def preferred_first(names: Iterable[str], extension: str) -> list[str]:
    """Sorts names so that, among names with the same stem, the preferred one comes first.

    Args:
        names: Image names.
        extension: Extension in the spec, with or without the dot, in any case.

    Returns:
        Names sorted by stem; within a stem, `extension` first, then its alias (jpg or jpeg), then the others.
    """
    plain = extension.lstrip(".").lower()
    order = {f".{_SIBLINGS.get(plain, plain)}": 1, f".{plain}": 0}

    def key(name: str) -> tuple[str, int, str]:
        return stem_of(name), order.get(_suffix(name), 2), name

    return sorted(names, key=key)


def extension_spellings(extension: str) -> tuple[str, ...]:
    """Lists the extensions, without dot, to try for a record that does not name its image file.

    Args:
        extension: Extension in the spec, with or without the dot.
    """
    plain = extension.lstrip(".")
    sibling = _SIBLINGS.get(plain.lower(), plain)
    names = [plain, plain.lower(), plain.upper(), sibling, sibling.upper()]
    names += [spelling for suffix in SUFFIXES for spelling in (suffix[1:], suffix[1:].upper())]
    return tuple(dict.fromkeys(names))


def is_below(name: str) -> bool:
    """Checks whether a relative path stays below the folder that it is appended to."""
    if name.startswith("/") or "\0" in name:
        return False
    parts = name.split("/")
    return ".." not in parts and any(part not in ("", ".") for part in parts)


def image_paths(folder: Path, frame_id: str, file: str, extensions: Sequence[str]) -> tuple[Path, ...]:
    """Lists the possible paths of a record's image, in the order to try.

    Args:
        folder: Image folder of the record's source.
        frame_id: `frame/id` of the record.
        file: `frame/file` of the record; empty if it has none.
        extensions: Result of `extension_spellings`.

    Returns:
        Paths below `folder`; empty if the record names only paths outside of it.
    """
    names = [file] if file else []
    names += [f"{frame_id}.{extension}" for extension in extensions]
    return tuple(folder / name for name in names if is_below(name))


def _suffix(name: str) -> str:
    """Returns the extension with its dot, in lower case; without `pathlib`, for sets of millions."""
    return name[name.rfind(".") :].lower() if "." in name else ""
