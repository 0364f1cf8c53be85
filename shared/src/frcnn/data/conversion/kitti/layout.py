"""Finds images and labels in a KITTI folder without a spec."""

from collections import Counter
from pathlib import Path

from frcnn.console.foreign_text import printable
from frcnn.data.image_suffixes import SUFFIXES, image_names, images_below
from frcnn.errors import DataError

IMAGE_DIRS = ("images", "image_2", "image")
LABEL_DIRS = ("labels", "label_2", "label")


def is_kitti(folder: Path) -> bool:
    """Checks whether a folder has the sub-folders of KITTI layout.

    Args:
        folder: Folder of a data set, or of a part of it.
    """
    return all(any((folder / name).is_dir() for name in names) for names in (IMAGE_DIRS, LABEL_DIRS))


def meant_instead(folder: Path) -> str:
    """Returns the folder above, as a question, if that is the data set: a user may give its images.

    Args:
        folder: Folder that is not a data set.
    """
    above = folder.parent
    return f" Did you mean {above}?" if folder.name and is_kitti(above) else ""


def layout(folder: Path) -> tuple[str, str, str]:
    """Finds the folders of images and labels.

    Args:
        folder: Folder in KITTI layout.

    Returns:
        Names of the image and label folders below `folder`, and the most frequent extension with dot.

    Raises:
        DataError: The folder or one of its folders is missing, or there are no images.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Expected a folder with images/ and labels/.")
    image_dir = _first_folder(folder, IMAGE_DIRS)
    label_dir = _first_folder(folder, LABEL_DIRS)
    suffixes = Counter(Path(name).suffix.lower() for name in image_names(folder / image_dir))
    if not suffixes:
        below = in_subfolders(folder / image_dir)
        raise DataError(
            f"{folder / image_dir}: no images found; expected {', '.join(SUFFIXES)} files{below}."
        )
    return image_dir, label_dir, suffixes.most_common(1)[0][0]


def in_subfolders(folder: Path) -> str:
    """Returns the end of a message about a folder without images: whether its subfolders have some."""
    count, first = images_below(folder)
    return (
        f"; {count} are in subfolders, such as {printable(first)}: each is a set of its own" if count else ""
    )


def _first_folder(folder: Path, names: tuple[str, ...]) -> str:
    for name in names:
        if (folder / name).is_dir():
            return name
    raise DataError(
        f"{folder}: no folder {names[0]}/ (or {', '.join(names[1:])}). Expected KITTI layout."
        + meant_instead(folder)
    )
