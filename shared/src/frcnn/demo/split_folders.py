"""Joins a data set that is split into folders already, so that one conversion reads it.

`train/` and `val/` each hold images and labels. The joined folder has a link to each file, and a list of the
names of each part, from which the conversion makes its folds.
"""

import json
from pathlib import Path

from frcnn.data.conversion.kitti.layout import layout
from frcnn.data.image_suffixes import image_names, stem_of
from frcnn.errors import DataError, UsageError
from frcnn.files import atomic_path
from frcnn.spec_writing.splits import role

SEQUENCES = "sequences.json"
IMAGES, LABELS = "images", "labels"


def parts_of(folder: Path) -> dict[str, Path]:
    """Finds the folders for training and validation.

    Args:
        folder: Folder of a data set.

    Returns:
        Folders by role, `train` and `val`; empty if the data set is not split in this way.
    """
    found = {role(path.name): path for path in sorted(folder.iterdir()) if path.is_dir()}
    parts: dict[str, Path] = {name: found[name] for name in ("train", "val") if name in found}
    try:
        for part in parts.values():
            layout(part)
    except DataError:
        return {}
    return parts if len(parts) == 2 else {}


def join(parts: dict[str, Path], target: Path) -> None:
    """Writes a folder of links to the files of all parts, and the names of each part.

    Args:
        parts: Folders by role, as from `parts_of`.
        target: Folder to write; an earlier joined folder is replaced, and nothing else.

    Raises:
        UsageError: `target` holds something else, or fewer images are for training than for validation.
    """
    if target.exists() and not (target / SEQUENCES).is_file():
        raise UsageError(f"{target} exists and was not joined by frcnn demo. Choose another output folder.")
    with atomic_path(target) as temporary:
        for name in (IMAGES, LABELS):
            (temporary / name).mkdir(parents=True)
        stems = {name: _link_part(name, part, temporary) for name, part in parts.items()}
        # The conversion puts the longest list into the last fold, and the demo validates on the first.
        if len(stems["val"]) >= len(stems["train"]):
            raise UsageError(
                f"{parts['val']}: {len(stems['val'])} images for validation, but only {len(stems['train'])} "
                f"for training in {parts['train']}; expected fewer"
            )
        (temporary / SEQUENCES).write_text(json.dumps(stems, ensure_ascii=False), encoding="utf-8")
        if target.exists():
            target.rename(temporary.parent / "former")  # removed with the temporary folder


def _link_part(name: str, part: Path, target: Path) -> list[str]:
    """Links the images and labels of a part, and returns their new names without extension."""
    images, labels, _ = layout(part)
    stems = []
    for image in image_names(part / images):
        (target / IMAGES / f"{name}_{image}").symlink_to((part / images / image).resolve())
        label = part / labels / f"{stem_of(image)}.txt"
        if label.is_file():
            (target / LABELS / f"{name}_{label.name}").symlink_to(label.resolve())
        stems.append(stem_of(f"{name}_{image}"))
    return stems
