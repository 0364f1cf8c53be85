"""Where images and labels lie in a folder in KITTI layout that comes without a spec."""

import logging
from collections import Counter
from pathlib import Path

from frcnn.errors import DataError

log = logging.getLogger(__name__)

IMAGE_DIRS = ("images", "image_2", "image")
LABEL_DIRS = ("labels", "label_2", "label")
EXTENSIONS = (".jpg", ".jpeg", ".png")


def layout(folder: Path) -> tuple[str, str, str]:
    """Names of the folders of images and labels below `folder`, and the images' extension with dot.

    Raises:
        DataError: A folder is missing, or there are no images in it.
    """
    image_dir = _first_folder(folder, IMAGE_DIRS)
    label_dir = _first_folder(folder, LABEL_DIRS)
    suffixes = Counter(path.suffix for path in (folder / image_dir).iterdir())
    images = {suffix: count for suffix, count in suffixes.items() if suffix.lower() in EXTENSIONS}
    if not images:
        raise DataError(f"{folder / image_dir}: no images in it; expected {', '.join(EXTENSIONS)}")
    chosen = max(images, key=lambda suffix: images[suffix])
    if len(images) > 1:
        others = sum(images.values()) - images[chosen]
        log.warning("%s: taking the %d %s images, not the %d others", folder, images[chosen], chosen, others)
    return image_dir, label_dir, chosen


def _first_folder(folder: Path, names: tuple[str, ...]) -> str:
    for name in names:
        if (folder / name).is_dir():
            return name
    raise DataError(
        f"{folder}: no folder {names[0]}/ in it (nor {', '.join(names[1:])}); expected KITTI layout"
    )
