"""Finds COCO annotation files in a folder, and the image folder of an annotation file."""

from collections.abc import Sequence
from pathlib import Path

import ijson  # type: ignore[import-untyped]

from frcnn.data.json_guard import GuardedJson
from frcnn.data.spellings import files_ending, other_spellings
from frcnn.errors import DataError

# Number of images whose files are searched for.
MAX_NAMES_CHECKED = 5
# Files of COCO's own data set for detection, and for its other tasks, which have the same images.
_DETECTION, _OTHER_TASKS = (
    "instances_",
    ("captions_", "image_info_", "panoptic_", "person_keypoints_", "stuff_"),
)


def annotation_files(folder: Path) -> list[Path]:
    """Lists the annotation files of a data set.

    Args:
        folder: Folder of the data set.

    Returns:
        JSON files in `folder` or `folder/annotations` that have images, sorted. Next to files called
        `instances_...`, those of COCO's other tasks are left out.
    """
    places = [folder / "annotations", folder]
    candidates = [path for place in places for path in files_ending(place, ".json")]
    if any(path.name.startswith(_DETECTION) for path in candidates):
        candidates = [path for path in candidates if not path.name.startswith(_OTHER_TASKS)]
    return [path for path in candidates if _has_images(path)]


def image_folder(path: Path, names: Sequence[str]) -> Path:
    """Finds the image folder of an annotation file: the first candidate in which an image exists.

    Args:
        path: Annotation file.
        names: File names of its images, at least one.

    Returns:
        The folder.

    Raises:
        DataError: No candidate contains an image of the file.
    """
    part = path.stem.rpartition("_")[2]
    near = [path.resolve().parent, path.resolve().parent.parent]
    folders = [*near, *(base / name for base in near for name in ("images", part, f"images/{part}"))]
    for folder in folders:
        if any(_is_file(folder, name) for name in names[:MAX_NAMES_CHECKED]):
            return folder
    raise DataError(
        f"{path}: its images, such as {names[0]}, are in none of {', '.join(map(str, folders[:4]))}. "
        "Give their folder with --images."
    )


def _is_file(folder: Path, name: str) -> bool:
    return any((folder / spelled).is_file() for spelled in (name, *other_spellings(name)))


def _has_images(path: Path) -> bool:
    try:
        with GuardedJson(path, without_nan=True) as stream:
            return next(ijson.items(stream, "images.item"), None) is not None
    except (OSError, ValueError, DataError, ijson.JSONError):
        return False
