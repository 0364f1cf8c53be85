"""Recognizes the format of a data set and its parts by the names of folders and a look into labels."""

import itertools
import os
from pathlib import Path

from frcnn.data.conversion.box_checks import parse_number, parse_whole
from frcnn.data.conversion.kitti.layout import is_kitti
from frcnn.data.conversion.kitti.reader import FIELDS
from frcnn.data.image_suffixes import image_names
from frcnn.data.spellings import names_ending
from frcnn.regular_file import read_regular
from frcnn.survey.coco_files import annotation_files

# Names of the parts of a split data set, as folders or as lists of image names.
SPLITS = ("train", "training", "val", "valid", "validation", "test")
# Label files to look into, to tell YOLO from KITTI.
_LOOKED_AT, _MAX_LOOKED_AT_BYTES = 50, 16 << 20
YOLO_FIELDS = 5
_VOC_LABEL_DIRS = ("Annotations", "annotations", "labels", "")


def role(name: str) -> str:
    """Returns the role of a part by its name: `train`, `val`, `test`, or empty.

    Args:
        name: Name of a fold, folder or annotation file.
    """
    words = name.lower().replace(":", " ").replace("_", " ").replace("-", " ").split()
    for word in reversed(words):
        for known in ("train", "val", "test"):
            if word.startswith(known):
                return known
    return ""


def part_folders(folder: Path) -> list[Path]:
    """Finds the folders of the parts of a data set that has a folder for each.

    Args:
        folder: Folder of the data set.

    Returns:
        Folders named in `SPLITS`, in this order; then folders with labels and a name such as train2017.
    """
    known = [folder / name for name in SPLITS if (folder / name).is_dir()]
    others = [path for path in sorted(folder.iterdir()) if path.is_dir() and path not in known]
    return known + [path for path in others if role(path.name) and has_labels(path)]


def kitti_parts(folder: Path) -> dict[str, Path]:
    """Finds the parts of a data set that has a folder in KITTI layout for each.

    Args:
        folder: Folder of the data set.

    Returns:
        Folders by role: `train`, and `val` and `test` if they exist. Empty for other data sets, and if a part
        is in another format.
    """
    folders = [] if is_kitti(folder) else part_folders(folder)
    if not all(map(is_kitti, folders)):
        return {}
    found: dict[str, Path] = {}
    for path in folders:
        found.setdefault(role(path.name), path)
    return found if "train" in found else {}


def voc_labels(folder: Path) -> Path | None:
    """Finds the folder of Pascal VOC's label files.

    Args:
        folder: Folder of a data set, or of a part of it.

    Returns:
        The folder; None if there are no XML files.
    """
    return next((folder / name for name in _VOC_LABEL_DIRS if names_ending(folder / name, ".xml")), None)


def has_yolo_labels(folder: Path) -> bool:
    """Checks whether label files are in the format of YOLO rather than KITTI.

    The first line that has the fields of either decides; those of YOLO may be an outline. Empty files, of
    images without objects, do not count: the first hundreds of a set may be empty.

    Args:
        folder: Folder of the label files.
    """
    with_lines = (folder / name for name in names_ending(folder, ".txt") if _is_filled(folder / name))
    for path in itertools.islice(with_lines, _LOOKED_AT):
        try:
            lines = read_regular(path, _MAX_LOOKED_AT_BYTES).decode("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        for words in map(str.split, lines if path.name != "classes.txt" else ()):
            if words and _is_class_number(words[0]) and (len(words) == YOLO_FIELDS or _are_shares(words[1:])):
                return True
            if len(words) in (FIELDS, FIELDS + 1):
                return False
    return False


def _is_filled(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _is_class_number(word: str) -> bool:
    try:
        return parse_whole(word) >= 0
    except ValueError:
        return False


def _are_shares(words: list[str]) -> bool:
    """Checks whether words are shares of an image: an outline, or a box with its score."""
    try:
        return len(words) >= YOLO_FIELDS and all(0.0 <= parse_number(word) <= 1.0 for word in words)
    except ValueError:
        return False


def yolo_parts(folder: Path, images: Path | None = None) -> tuple[str, ...]:
    """Finds the parts of a data set with labels of YOLO below one `images` and one `labels` folder.

    Args:
        folder: Data set.
        images: Folder of the images; by default `images` in the data set.

    Returns:
        Names of the sub-folders of both, such as train and val2017; one empty name if there are none, or if
        images and labels are in one folder. Empty for labels of another format.
    """
    named, labels = images or folder / "images", folder / "labels"
    if is_flat(folder) and not images:
        return ("",) if folder.is_dir() and image_names(folder) and has_yolo_labels(folder) else ()
    if not named.is_dir() or not labels.is_dir():
        return ()
    if has_yolo_labels(labels):
        return ("",)
    base = labels if images else named
    with os.scandir(base) as entries:  # there may be a million images
        others = sorted(entry.name for entry in entries if entry.is_dir() and role(entry.name))
    parts = tuple(dict.fromkeys([*(name for name in SPLITS if name in others), *others]))
    return parts if any(has_yolo_labels(labels / name) for name in parts) else ()


def is_flat(folder: Path) -> bool:
    """Checks whether images and labels have no folders of their own, as LabelImg writes them."""
    return not any((folder / name).is_dir() for name in ("images", "labels"))


def other_format(folder: Path) -> str:
    """Detects labels that must be converted before anything else reads them, in a folder or its parts.

    Args:
        folder: Data set.

    Returns:
        `yolo` or `voc`; empty for other formats.
    """
    for part in (folder, *part_folders(folder)):
        if yolo_parts(part):
            return "yolo"
        if voc_labels(part) is not None:
            return "voc"
    return ""


def format_to_convert(folder: Path) -> str:
    """Returns the format of labels that must be converted, unless there are others that need not be.

    Args:
        folder: Data set.

    Returns:
        `yolo` or `voc`; empty for other formats.
    """
    if yolo_parts(folder):
        return "yolo"
    return "" if is_kitti(folder) or annotation_files(folder) else other_format(folder)


def has_labels(folder: Path) -> bool:
    """Checks whether a folder is a data set in one of the formats.

    Args:
        folder: Folder of a data set, or of a part of it.
    """
    return is_kitti(folder) or bool(annotation_files(folder) or yolo_parts(folder) or voc_labels(folder))
