"""Finds the images for inference and names the label files to write."""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from frcnn.data.image_suffixes import SUFFIXES, is_image_name
from frcnn.errors import DataError
from frcnn.files import LONGEST_NAME
from frcnn.regular_file import walk

log = logging.getLogger(__name__)


def find_images(folder: Path, leave_out: Sequence[Path] = ()) -> list[Path]:
    """Lists the images in a folder and its subfolders.

    Images are recognized by name (`frcnn.data.image_suffixes`); hidden files and folders are skipped.

    Args:
        folder: Existing folder.
        leave_out: Folders to skip, such as the output folder of annotated images.

    Returns:
        Paths relative to `folder`, sorted.

    Raises:
        DataError: There are no images.
    """
    images: list[Path] = []
    others = 0
    entered = {folder.resolve(), *(path.resolve() for path in leave_out)}
    for place, names, files in walk(folder, follow_links=True):
        names[:] = [name for name in names if not name.startswith(".") and _enter(Path(place, name), entered)]
        visible = [Path(place, name) for name in files if not name.startswith(".")]
        found = [path.relative_to(folder) for path in visible if is_image_name(path.name)]
        images += found
        others += len(visible) - len(found)
    if not images:
        also = f"; it contains {others} files of other types" if others else ""
        raise DataError(f"{folder}: no image found ({', '.join(SUFFIXES)}, including subfolders){also}")
    if others:
        log.info("%s: skipping %d files other than %s", folder, others, ", ".join(SUFFIXES))
    return sorted(images)


def _enter(folder: Path, entered: set[Path]) -> bool:
    """Checks whether `folder` is new; links may lead to folders that were already searched."""
    place = folder.resolve()
    new = place not in entered
    entered.add(place)
    return new


def label_files(images: Sequence[Path]) -> list[Path]:
    """Returns the label file of each image, relative to the label folder.

    It has the subfolder and stem of the image and the extension `.txt`.

    If several images in a folder share a stem, such as a.jpg and a.png, all but the first keep their
    extension (`a.png.txt`), so that label files are unique.

    Args:
        images: Paths relative to the image folder.

    Returns:
        Paths in the order of `images`.
    """
    taken: set[Path] = set()
    labels = []
    for image in images:
        label = image.with_suffix(".txt")
        if label in taken:
            label = image.with_name(_label_name(image.name))
            log.warning("%s: writing labels to %s, since another image has the same stem", image, label)
        taken.add(label)
        labels.append(label)
    return labels


def _label_name(image_name: str) -> str:
    """Returns `a.png.txt` for `a.png`; shortens long names and appends a hash."""
    whole = f"{image_name}.txt"
    if len(os.fsencode(whole)) <= LONGEST_NAME:
        return whole
    digest = hashlib.sha256(os.fsencode(image_name)).hexdigest()[:16]
    return f"{os.fsdecode(os.fsencode(image_name)[:200])}.{digest}.txt"
