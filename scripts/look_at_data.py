"""Checks before the installation whether `make demo DATA=...` names a folder with images.

Needs only the standard library, because nothing is installed yet. `frcnn demo` checks the rest.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".json")
# Levels of folders to look into, which ends loops of links, and files to look at.
DEPTH, MAX_FILES = 4, 100_000


def problem_with(folder: Path) -> str:
    """Returns what is wrong with a data folder in one sentence; empty if it may be a data set.

    Args:
        folder: Folder of the data set.
    """
    if not folder.is_dir():
        return f"DATA={folder}: no such folder; expected a data set: a folder with images/ and labels/"
    for count, name in enumerate(_files(folder, DEPTH)):
        if name.lower().endswith(SUFFIXES) or count == MAX_FILES:
            return ""
    return f"DATA={folder}: no image in it or below it; expected a folder with images/ and labels/"


def _files(folder: Path, depth: int) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.is_dir())
    except OSError:
        return
    for entry in entries:
        if not entry.is_dir():
            yield entry.name
        elif depth:
            yield from _files(Path(entry.path), depth - 1)


if __name__ == "__main__":
    found = problem_with(Path(sys.argv[1]).expanduser())
    if found:
        sys.exit(found)
