"""Finds files whose names are spelled differently from the names that refer to them.

Programs on macOS write letters with accents decomposed (Unicode's form NFD), others composed (NFC), so that
a label file and its image, or a COCO file and its images, may differ although both names look the same.
Programs for Windows write extensions in upper case, and paths with backslashes.
"""

import os
import unicodedata
from collections.abc import Container, Iterator
from pathlib import Path

from frcnn.data.image_suffixes import is_below
from frcnn.regular_file import read_regular


def other_spellings(name: str) -> Iterator[str]:
    r"""Yields other spellings of a file name: Unicode's other form, the extension in the other case, / for \.

    Args:
        name: Name or relative path of a file.
    """
    if "\\" in name and is_below(slashed := name.replace("\\", "/")):
        yield slashed
        yield from other_spellings(slashed)
    stem, dot, extension = name.rpartition(".")
    endings = (extension, extension.upper(), extension.lower()) if dot and "/" not in extension else (None,)
    found = {name}
    for form in ("NFC", "NFD"):
        for ending in endings:
            spelled = unicodedata.normalize(form, name if ending is None else f"{stem}.{ending}")
            if spelled not in found:
                found.add(spelled)
                yield spelled


def as_in(stem: str, known: Container[str]) -> str:
    """Returns the spelling that a name has among known ones; the name itself if it is not among them.

    Args:
        stem: Name of a file without its extension.
        known: Names in their spelling.
    """
    forms = (stem, *(unicodedata.normalize(form, stem) for form in ("NFC", "NFD")))
    return next((each for each in forms if each in known), stem)


def files_ending(folder: Path, suffix: str) -> list[Path]:
    """Lists the files of a folder with an extension in any case, sorted; none if there is no such folder.

    Args:
        folder: Folder.
        suffix: Extension with its dot, in lower case.
    """
    return [folder / name for name in names_ending(folder, suffix)]


def names_ending(folder: Path, suffix: str) -> list[str]:
    """Lists the names that `files_ending` finds, which takes less time than their paths.

    Args:
        folder: Folder.
        suffix: Extension with its dot, in lower case.
    """
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return sorted(name for name in names if os.path.splitext(name)[1].lower() == suffix)  # noqa: PTH122


def read_spelled(folder: Path, name: str, most: int) -> bytes:
    """Reads a file, or else the one whose name has another spelling.

    Args:
        folder: Folder of the file.
        name: Name of the file.
        most: Maximum size, bytes.

    Returns:
        Content of the file.

    Raises:
        FileNotFoundError: There is no such file, in no spelling.
        OSError: The file cannot be read, is larger or is not a regular file.
    """
    try:
        return read_regular(f"{folder}/{name}", most)  # joining paths would slow down conversions
    except FileNotFoundError:
        for other in other_spellings(name):
            try:
                return read_regular(folder / other, most)
            except FileNotFoundError:
                continue
        raise
