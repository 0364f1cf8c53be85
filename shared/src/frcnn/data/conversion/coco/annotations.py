"""COCO annotation files, read as a stream into compact columns.

A data set of a million images has gigabytes of JSON, nearly all of it outlines that are of no use here.
What is kept is about 60 bytes a box and the images' file names.
"""

import dataclasses
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import ijson  # type: ignore[import-untyped]
import numpy as np

from frcnn.data.conversion.box_checks import TOO_LARGE
from frcnn.data.conversion.coco.reader import CocoBox, CocoImage
from frcnn.data.conversion.faults import Fault, FaultKind
from frcnn.data.conversion.plan import stored_class_name
from frcnn.errors import DataError


@dataclasses.dataclass(frozen=True)
class CocoFold(Sequence[CocoImage]):
    """The images of one annotation file in the file's order, made up one by one as they are asked for."""

    image_dir: str
    annotation_file: str
    categories: tuple[str, ...]
    entries: Sequence[tuple[str, int, int]]
    boxes: "_Boxes"

    def __len__(self) -> int:
        """The number of images."""
        return len(self.entries)

    @overload
    def __getitem__(self, index: int) -> CocoImage: ...
    @overload
    def __getitem__(self, index: slice) -> list[CocoImage]: ...
    def __getitem__(self, index: int | slice) -> CocoImage | list[CocoImage]:
        """One image with its boxes, or a list of them."""
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        name, height, width = self.entries[index]
        boxes = tuple(
            CocoBox(annotation, self.categories[category], *box)
            for annotation, category, box in self.boxes.of(index)
        )
        return CocoImage(self.image_dir, name, self.annotation_file, height, width, boxes)


@dataclasses.dataclass(frozen=True)
class CocoFile:
    """An annotation file: category names as it spells them, its images, and what was wrong."""

    names: tuple[str, ...]
    images: CocoFold
    faults: tuple[Fault, ...]


def read_coco(path: Path, image_dir: str) -> CocoFile:
    """Reads an annotation file whose images are in `image_dir`.

    Raises:
        DataError: It cannot be read, or has no images, no annotations or no categories.
    """
    try:
        names = _categories(path)
        images = _Images(path)
        boxes = _Columns(path, {identifier: index for index, identifier in enumerate(names)}, images)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except (ijson.JSONError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: JSON that cannot be read: {error}") from error
    stored = tuple(map(stored_class_name, names.values()))
    fold = CocoFold(image_dir, str(path), stored, images.entries, boxes.sorted(len(images.entries)))
    return CocoFile(tuple(names.values()), fold, (*images.faults, *boxes.faults))


def _items(path: Path, key: str) -> Iterator[Any]:
    """The elements of the list `key` of the file; an error if there is none."""
    empty = True
    with path.open("rb") as stream:
        for item in ijson.items(stream, f"{key}.item", use_float=True):
            empty = False
            yield item
    if empty:
        raise DataError(f"{path}: no {key}")


def _categories(path: Path) -> dict[int, str]:
    """Names by id, in the file's order."""
    names: dict[int, str] = {}
    for entry in _items(path, "categories"):
        identifier = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(identifier, int) or not isinstance(entry.get("name"), str):
            raise DataError(f"{path}: categories: expected a number as id and a name, got {entry!r}")
        if identifier in names:
            raise DataError(f"{path}: categories: id {identifier} is given twice")
        names[identifier] = entry["name"]
    return names


class _Images:
    """File name, height and width of each image entry; place of an image by its id."""

    def __init__(self, path: Path) -> None:
        self.entries: list[tuple[str, int, int]] = []
        self.faults: list[Fault] = []
        self.place: dict[int | str, int] = {}
        for entry in _items(path, "images"):
            identifier = entry.get("id") if isinstance(entry, dict) else None
            if not isinstance(identifier, int | str) or not _is_name(entry.get("file_name")):
                reason = f"expected an id and a file_name below the image folder, got {str(entry)[:80]}"
                self.faults.append(Fault(FaultKind.BAD_ENTRY, str(path), reason))
            elif identifier in self.place:
                reason = f"image id {identifier} is given twice; {entry['file_name']} is left out"
                self.faults.append(Fault(FaultKind.DUPLICATE, str(path), reason))
            else:
                self.place[identifier] = len(self.entries)
                size = _size(entry.get("height")), _size(entry.get("width"))
                self.entries.append((entry["file_name"], *size))


class _Columns:
    """Annotations as they come: image, category, id and box in columns."""

    def __init__(self, path: Path, category_place: dict[int, int], images: _Images) -> None:
        self.faults: list[Fault] = []
        self._image, self._category = array("i"), array("i")
        self._annotation, self._box = array("q"), array("d")
        for number, entry in enumerate(_items(path, "annotations")):
            identifier = _identifier(entry, number)
            found = _check(entry, category_place, images)
            if isinstance(found, tuple):
                kind, reason = found
                self.faults.append(Fault(kind, str(path), reason, annotation=identifier))
                continue
            self._image.append(images.place[entry["image_id"]])
            self._category.append(category_place[entry["category_id"]])
            self._annotation.append(identifier)
            self._box.extend(found)

    def sorted(self, images: int) -> "_Boxes":
        """The columns in the order of the images, and within an image as in the file."""
        image = np.frombuffer(self._image, np.int32)
        order = np.argsort(image, kind="stable")
        return _Boxes(
            np.searchsorted(image[order], np.arange(images + 1)),
            np.frombuffer(self._annotation, np.int64)[order],
            np.frombuffer(self._category, np.int32)[order],
            np.frombuffer(self._box, np.float64).reshape(-1, 4)[order],
        )


@dataclasses.dataclass(frozen=True)
class _Boxes:
    """Columns sorted by image; image `i` has the rows `starts[i]` to `starts[i + 1]`."""

    starts: np.ndarray
    annotation: np.ndarray
    category: np.ndarray
    box: np.ndarray

    def of(self, image: int) -> Iterator[tuple[int, int, list[float]]]:
        """Annotation id, category and x, y, width, height of each box of an image."""
        rows = slice(self.starts[image], self.starts[image + 1])
        columns = (self.annotation[rows], self.category[rows], self.box[rows])
        return zip(*(column.tolist() for column in columns), strict=True)


def _check(entry: Any, categories: dict[int, int], images: _Images) -> list[float] | tuple[FaultKind, str]:
    """The box x, y, width, height; or kind and reason of what is wrong."""
    if not isinstance(entry, dict):
        return FaultKind.BAD_BOX, f"expected an object, got {str(entry)[:80]}"
    image, category, box = entry.get("image_id"), entry.get("category_id"), entry.get("bbox")
    if not isinstance(image, int | str) or image not in images.place:
        return FaultKind.UNKNOWN_IMAGE, f"image_id {image!r}"
    if not isinstance(category, int) or category not in categories:
        return FaultKind.UNKNOWN_CATEGORY, f"category_id {category!r}"
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
        return FaultKind.BAD_BOX, f"bbox {str(box)[:80]}"
    return box


def _identifier(entry: Any, number: int) -> int:
    """The annotation's id; its place in the list, from 0, where it has none that is a number."""
    identifier = entry.get("id") if isinstance(entry, dict) else None
    return identifier if isinstance(identifier, int) and abs(identifier) < 2**63 else number


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < TOO_LARGE


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not value.startswith("/")


def _size(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
