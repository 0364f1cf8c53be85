"""Prepares a KITTI data set that is split already, so that one conversion keeps its split.

The parts `train/` and `val/` are joined: the new folder has a link to each file. A file of sequences lists
the names of each part; the conversion makes its folds of it.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from frcnn.data.conversion.kitti.layout import layout
from frcnn.data.image_suffixes import image_names, stem_of
from frcnn.errors import UsageError
from frcnn.files import atomic_path, write_text
from frcnn.spec_writing.splits import HELD_OUT_AT_RANDOM, SEQUENCES, listed_parts
from frcnn.survey.layouts import kitti_parts
from frcnn.survey.sources import open_sources

IMAGES, LABELS = "images", "labels"


@dataclasses.dataclass(frozen=True)
class OneSet:
    """A folder that a single conversion reads.

    Attributes:
        root: Folder in KITTI layout.
        sequences: Path of the file with the names of both parts; empty to split at random.
        why: Description of the validation images for a comment.
    """

    root: Path
    sequences: str = ""
    why: str = HELD_OUT_AT_RANDOM


def one_set(data: Path, *, joined: Path, sequences: Path) -> OneSet:
    """Prepares a data set for one conversion whose fold 0 has the validation images.

    Args:
        data: Folder in KITTI layout, with lists of names if it is split, or with such a folder for each part.
        joined: Folder to write if there are folders for training and validation.
        sequences: File to write if there are lists of names.

    Returns:
        The folder to convert, and its split.

    Raises:
        UsageError: `joined` holds something else, or fewer images are for training than for validation.
        DataError: There are no images, or a list is not readable.
    """
    parts = kitti_parts(data)
    if "val" in parts:
        join(parts, joined)
        return OneSet(joined, SEQUENCES, f"the images of {parts['val'].name}/")
    root = parts.get("train", data)
    source = open_sources([str(root)])[0]
    if len(source.folds) < 2:
        return OneSet(root)
    stems, why = listed_parts(source)
    text = _sequences_text(stems, {name: root / f"{name}.txt" for name in stems})
    write_text(sequences, text)
    return OneSet(root, str(sequences.absolute()), why)


def join(parts: Mapping[str, Path], target: Path) -> None:
    """Writes a folder of links to the files for training and validation, and the names of each part.

    Args:
        parts: Folders by role, as from `kitti_parts`.
        target: Folder to write; an earlier joined folder is replaced, and nothing else.

    Raises:
        UsageError: `target` holds something else, or fewer images are for training than for validation.
        DataError: A part has no images.
    """
    if target.exists() and not (target / SEQUENCES).is_file():
        raise UsageError(f"{target} exists and was not joined by frcnn demo. Choose another output folder.")
    with atomic_path(target) as temporary:
        for name in (IMAGES, LABELS):
            (temporary / name).mkdir(parents=True)
        stems = {name: _link_part(name, parts[name], temporary) for name in ("train", "val")}
        (temporary / SEQUENCES).write_text(_sequences_text(stems, parts), encoding="utf-8")
        if target.exists():
            target.rename(temporary.parent / "former")  # removed with the temporary folder


def _sequences_text(stems: Mapping[str, Sequence[str]], places: Mapping[str, Path]) -> str:
    """Returns the content of the file of sequences for training and validation.

    Raises:
        UsageError: Validation has as many images as training. The conversion puts the longest sequence into
            the last fold, and fold 0 must be that for validation.
    """
    train, val = stems["train"], stems["val"]
    if len(val) >= len(train):
        raise UsageError(
            f"{places['val']}: {len(val)} images for validation, but only {len(train)} for training in "
            f"{places['train']}; expected fewer"
        )
    return json.dumps({"train": list(train), "val": list(val)}, ensure_ascii=False)


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
