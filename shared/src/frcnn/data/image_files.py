"""Which images an inference run looks at, and what the files it writes are called."""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from frcnn.data.image_set import SUFFIXES, is_image_name
from frcnn.errors import DataError
from frcnn.files import LONGEST_NAME

log = logging.getLogger(__name__)


def find_images(folder: Path, leave_out: Sequence[Path] = ()) -> list[Path]:
    """The images in `folder` and its sub-folders, relative to it, sorted.

    Told by their names (`frcnn.data.image_set`); hidden files and folders are skipped.

    Args:
        folder: Exists.
        leave_out: Folders whose files do not count, such as the one that annotated images go to.

    Raises:
        DataError: There is none.
    """
    images: list[Path] = []
    others = 0
    entered = {folder.resolve(), *(path.resolve() for path in leave_out)}
    for place, names, files in os.walk(folder, followlinks=True):
        names[:] = [name for name in names if not name.startswith(".") and _enter(Path(place, name), entered)]
        visible = [Path(place, name) for name in files if not name.startswith(".")]
        found = [path.relative_to(folder) for path in visible if is_image_name(path.name)]
        images += found
        others += len(visible) - len(found)
    if not images:
        also = f"; {others} files of other types are there" if others else ""
        raise DataError(f"{folder}: no image found ({', '.join(SUFFIXES)}, in sub-folders too){also}")
    if others:
        log.info("%s: %d files that are not %s are skipped", folder, others, ", ".join(SUFFIXES))
    return sorted(images)


def _enter(folder: Path, entered: set[Path]) -> bool:
    """Whether `folder` is new; a link may lead to where the search has been."""
    place = folder.resolve()
    new = place not in entered
    entered.add(place)
    return new


def label_files(images: Sequence[Path]) -> list[Path]:
    """The label file of each image, relative to the label folder: same sub-folder and stem, `.txt`.

    Where several images of a folder share a stem, as a.jpg and a.png do, all but the first keep their
    suffix (`a.png.txt`), so that none overwrites another's labels.
    """
    taken: set[Path] = set()
    labels = []
    for image in images:
        label = image.with_suffix(".txt")
        if label in taken:
            label = image.with_name(_label_name(image.name))
            log.warning("%s: the labels go to %s, another image has the same stem", image, label)
        taken.add(label)
        labels.append(label)
    return labels


def _label_name(image_name: str) -> str:
    """`a.png.txt` for `a.png`; a name that would be too long is shortened, with its hash."""
    whole = f"{image_name}.txt"
    if len(os.fsencode(whole)) <= LONGEST_NAME:
        return whole
    digest = hashlib.sha256(os.fsencode(image_name)).hexdigest()[:16]
    return f"{os.fsdecode(os.fsencode(image_name)[:200])}.{digest}.txt"
