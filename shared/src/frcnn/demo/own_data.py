"""Checks a data set that is given to `frcnn demo`."""

import shlex
from pathlib import Path

from frcnn.data.conversion.kitti.layout import LABEL_DIRS, layout
from frcnn.data.image_suffixes import image_names
from frcnn.errors import DataError, UsageError
from frcnn.survey.coco_files import annotation_files
from frcnn.survey.layouts import kitti_parts, other_format, part_folders

# A fifth of fewer images rounds down to 0.
MIN_IMAGES = 5


def check_data(data: Path) -> None:
    """Checks format and number of images of the user's data set.

    Args:
        data: Folder of the data set.

    Raises:
        UsageError: The labels are in another format.
        DataError: A folder is missing, or there are too few images to hold any out.
    """
    parts = kitti_parts(data) if data.is_dir() else {}
    if data.is_dir():
        _check_format(data, split=bool(parts))
    folder = parts.get("train", data)
    images = len(image_names(folder / layout(folder)[0]))
    if images < MIN_IMAGES and "val" not in parts:
        raise DataError(
            f"{folder}: only {images} images; expected {MIN_IMAGES} or more, as a fifth is held out"
        )


def _check_format(folder: Path, *, split: bool) -> None:
    """Raises UsageError for labels in another format, with the command that converts them."""
    found = other_format(folder)
    kitti = split or any((folder / name).is_dir() for name in LABEL_DIRS)
    found = found or ("coco" if any(map(annotation_files, (folder, *part_folders(folder)))) else "")
    if found == "yolo" or (found and not kitti):
        convert = f"frcnn data labels {shlex.quote(str(folder))} TARGET --to kitti"
        raise UsageError(f"{folder}: not in KITTI layout; convert the labels first: {convert}")
