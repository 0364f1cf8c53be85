"""What to do about a folder that is no data set, or is in another layout than expected."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from frcnn.console.foreign_text import printable
from frcnn.data.conversion.kitti.layout import meant_instead
from frcnn.errors import UsageError
from frcnn.survey.coco_files import MAX_NAMES_CHECKED, annotation_files
from frcnn.survey.layouts import format_to_convert, has_labels, has_yolo_labels, part_folders

_FORMAT_NAMES = {"yolo": "YOLO", "voc": "Pascal VOC"}


def convert_first(location: str, kind: str) -> str:
    """Returns a message that names the command for labels that must be converted.

    Args:
        location: Data set.
        kind: Format of its labels, as from `other_format`.
    """
    command = f"frcnn data labels {shlex.quote(location)} TARGET --to kitti"
    return f"{location}: has labels of {_FORMAT_NAMES[kind]}; convert them first: {command}"


def unused_folders(folder: Path, parts: Sequence[Path] = ()) -> tuple[str, ...]:
    """Returns a note on folders with labels that are no parts of the data set around them.

    Args:
        folder: Folder of a data set.
        parts: Folders of its parts.
    """
    others = [child.name for child in sorted(folder.iterdir()) if child.is_dir() and child not in parts]
    names = [name for name in others if has_labels(folder / name)]
    if not names:
        return ()
    listed = ", ".join(printable(name) for name in names[:MAX_NAMES_CHECKED])
    verb = "has labels and is" if len(names) == 1 else "have labels and are"
    where = printable(folder, None)
    return (f"{listed} in {where} {verb} not used; folders of parts have names such as train_2 and val",)


def check_kitti(root: Path, image_dir: str, label_dir: str) -> None:
    """Checks that a folder is not in another layout than that of a KITTI conversion spec.

    Args:
        root: Folder of the data set; one that does not exist is accepted.
        image_dir: Folder of the images, below the root.
        label_dir: Folder of the labels, below the root.

    Raises:
        UsageError: The labels are in another format, or are COCO's, or each part has a folder; the message
            says what to do.
    """
    if not root.is_dir():
        return
    missing = [name for name in (image_dir, label_dir) if not (root / name).is_dir()]
    kind = format_to_convert(root) if missing else "yolo" if has_yolo_labels(root / label_dir) else ""
    if kind:
        raise UsageError(convert_first(str(root), kind))
    if missing and (annotation_files(root) or any(map(has_labels, part_folders(root)))):
        command = f"frcnn spec new --data {shlex.quote(str(root))} -o NEW_FOLDER"
        raise UsageError(f"{root}: no folder {missing[0]}/ as in the spec; specs that fit it: {command}")


def near(folder: Path) -> str:
    """Returns what to do about folders that are data sets, but not called train or val, or the one above.

    Args:
        folder: Folder that is no data set.

    Returns:
        End of a sentence; empty if nothing was found.
    """
    found = [child.name for child in sorted(folder.iterdir()) if child.is_dir() and has_labels(child)]
    if not found:
        return f".{hint}" if (hint := meant_instead(folder)) else ""
    if len(found) == 1:
        return f"; its folder {found[0]} is a data set: give that folder"
    names = ", ".join(found[:MAX_NAMES_CHECKED])
    return f"; it has the folders {names}: give one of them, or rename them to train and val"
