"""What a local run's step cache depends on beside a step's parameters: the data's files, and our own code.

The cache knows a data set by its folder's name only, and a step's code by the name of its image.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import frcnn

_DIGITS = 16


def of_data(folder: Path) -> str:
    """Changes when a file in `folder` or below is added, removed, or written to."""
    digest = hashlib.sha256()
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = Path(place, name)
            status = path.stat()
            line = f"{path.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:_DIGITS]


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
