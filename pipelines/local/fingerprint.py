"""What a local run's step cache depends on beside a step's parameters: the data's files, and our own code.

The cache knows a data set by its folder's name only, and a step's code by the name of its image.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import frcnn

_DIGITS = 16


def of_data(folder: Path) -> str:
    """Changes when a file in `folder` or below, or behind a link in it, is added, removed or written to."""
    digest = hashlib.sha256()
    for line in _lines(folder, "", set()):
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:_DIGITS]


def _is_new(folder: Path, entered: set[Path]) -> bool:
    place = folder.resolve()
    new = place not in entered
    entered.add(place)
    return new


def _state(path: Path) -> str:
    """Size and time of a file; a link to nowhere, a pipe or a device has neither."""
    try:
        status = path.stat()
    except OSError:
        return "nowhere"
    if not stat.S_ISREG(status.st_mode):
        return "not a file"
    return f"{status.st_size}\0{status.st_mtime_ns}"


def of_code() -> str:
    """Changes with the library and with the steps' entry scripts."""
    library = Path(frcnn.__file__).parent
    components = Path(__file__).parents[2] / "components"
    return _of_contents([*library.rglob("*.py"), *library.rglob("*.txt"), *components.rglob("*.py")])


def of_texts(texts: Iterable[str]) -> str:
    """Changes with any of them."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:_DIGITS]


def _of_contents(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path}\0{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:_DIGITS]


def _lines(folder: Path, below: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Describes each file by name, size and time of change, in the order of names.

    Args:
        folder: Folder to look into; links in it are followed.
        below: Path of `folder` from the top, which begins each line.
        seen: Folders looked into so far: links may lead round in a circle.
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
            yield f"{shown}\0{error.errno}\n"  # a link that leads nowhere, or removed since it was listed
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from _lines(path, f"{shown}/", seen)
        else:
            kind = "" if stat.S_ISREG(status.st_mode) else "\0no file"
            yield f"{shown}\0{status.st_size}\0{status.st_mtime_ns}{kind}\n"
