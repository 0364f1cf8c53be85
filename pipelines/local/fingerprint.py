"""Fingerprints of the data files and of this project's code, as parts of a local run's cache key.

The cache itself identifies a data set only by its folder's name, and code by the name of the image.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import frcnn

_DIGITS = 16


def of_data(folder: Path) -> str:
    """Computes a fingerprint from names, sizes and modification times of all files in a folder.

    Args:
        folder: Folder of the data set, including subfolders and linked folders.

    Returns:
        Hexadecimal digits.
    """
    digest = hashlib.sha256()
    for line in _lines(folder, "", set()):
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:_DIGITS]


def of_code() -> str:
    """Computes a fingerprint of the library and the steps' entry scripts."""
    library = Path(frcnn.__file__).parent
    components = Path(__file__).parents[2] / "components"
    return _of_contents([*library.rglob("*.py"), *library.rglob("*.txt"), *components.rglob("*.py")])


def of_texts(texts: Iterable[str]) -> str:
    """Computes a fingerprint of texts.

    Args:
        texts: Texts; their order matters.

    Returns:
        Hexadecimal digits.
    """
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:_DIGITS]


def _of_contents(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path}\0{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:_DIGITS]


def _lines(folder: Path, below: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Yields name, size and modification time of each file, sorted by name.

    Args:
        folder: Folder to list; links in it are followed.
        below: Path of `folder` relative to the top, used as a prefix.
        seen: Folders that were visited, because links may form cycles.
    """
    status = folder.stat()
    place = (status.st_dev, status.st_ino)
    if place in seen:
        yield f"{below}\0seen\n"
        return
    seen.add(place)
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        path = folder / name
        shown = f"{below}{name}"
        try:
            status = path.stat()
        except OSError as error:
            yield f"{shown}\0{error.errno}\n"  # broken link, or file removed since the listing
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from _lines(path, f"{shown}/", seen)
        else:
            kind = "" if stat.S_ISREG(status.st_mode) else "\0no file"
            yield f"{shown}\0{status.st_size}\0{status.st_mtime_ns}{kind}\n"
