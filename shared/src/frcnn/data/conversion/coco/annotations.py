"""COCO annotation files, read as a stream into compact columns.

A data set of a million images has gigabytes of JSON, nearly all of it outlines that are of no use here.
What is kept is about 60 bytes a box and the images' file names.
"""

import dataclasses
import json
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, overload

import ijson  # type: ignore[import-untyped]
import numpy as np

from frcnn.console.foreign_text import printable
from frcnn.data.conversion.box_checks import TOO_LARGE
from frcnn.data.conversion.coco.reader import CocoBox, CocoImage
from frcnn.data.conversion.faults import Fault, FaultKind
from frcnn.data.conversion.plan import stored_class_name
from frcnn.data.image_set import is_below
from frcnn.data.json_guard import GuardedJson
from frcnn.errors import DataError

# Characters of a value that a message quotes.
QUOTED = 80


@dataclasses.dataclass(frozen=True)
class CocoFold(Sequence[CocoImage]):
    """The images of one annotation file in the file's order, made up one by one as they are asked for.

    Those whose numbers are in `whole_names` keep the extension in their frame id: without it, it is another
    image's.
    """

    image_dir: str
    annotation_file: str
    categories: tuple[str, ...]
    entries: Sequence[tuple[str, int, int]]
    boxes: "_Boxes"
    whole_names: frozenset[int] = frozenset()

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
        frame = name if index in self.whole_names else without_extension(name)
        return CocoImage(self.image_dir, name, self.annotation_file, height, width, boxes, frame)


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
        try:
            return _read(path, image_dir, without_nan=False)
        except ijson.JSONError:
            # Numbers that JSON has not: Python writes and reads them, and most are in fields of no use here.
            return _read(path, image_dir, without_nan=True)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except (ijson.JSONError, ValueError, OverflowError) as error:
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise DataError(f"{path}: JSON that cannot be read: {reason}") from error


def _read(path: Path, image_dir: str, *, without_nan: bool) -> CocoFile:
    names = _categories(_Source(path, without_nan, checked=True))
    source = _Source(path, without_nan)
    images = _Images(source)
    boxes = _Columns(source, {identifier: index for index, identifier in enumerate(names)}, images)
    stored = tuple(map(stored_class_name, names.values()))
    columns = boxes.sorted(len(images.entries))
    fold = CocoFold(image_dir, str(path), stored, images.entries, columns, images.whole_names())
    return CocoFile(tuple(names.values()), fold, (*images.faults, *boxes.faults))


def without_extension(name: str) -> str:
    """An image's path without the extension of its last part."""
    return PurePosixPath(name).with_suffix("").as_posix()


@dataclasses.dataclass(frozen=True)
class _Source:
    """An annotation file, and how it is read (`GuardedJson`)."""

    path: Path
    without_nan: bool
    checked: bool = False

    def items(self, key: str) -> Iterator[Any]:
        """The elements of the list `key` of the file; an error if there is none."""
        empty = True
        with GuardedJson(self.path, checked=self.checked, without_nan=self.without_nan) as stream:
            for item in ijson.items(stream, f"{key}.item", use_float=True):
                empty = False
                yield item
        if empty:
            raise DataError(f"{self.path}: no {key}")


def _categories(source: _Source) -> dict[int, str]:
    """Names by id, in the file's order."""
    path, names = source.path, dict[int, str]()
    for entry in source.items("categories"):
        identifier = _whole(entry.get("id")) if isinstance(entry, dict) else None
        if identifier is None or not isinstance(entry.get("name"), str):
            found = printable(entry, QUOTED)
            raise DataError(f"{path}: categories: expected a whole number as id and a name, got {found}")
        if identifier in names:
            raise DataError(f"{path}: categories: id {identifier} is given twice")
        names[identifier] = entry["name"]
    return names


class _Images:
    """File name, height and width of each image entry; place of an image by its id."""

    def __init__(self, source: _Source) -> None:
        self.entries: list[tuple[str, int, int]] = []
        self.faults: list[Fault] = []
        self.place: dict[int | str, int] = {}
        # Of each file name; entries of one file are one image.
        self._named: dict[str, int] = {}
        for entry in source.items("images"):
            identifier = _image_id(entry.get("id")) if isinstance(entry, dict) else None
            name = entry.get("file_name") if identifier is not None else None
            if identifier is None or not isinstance(name, str) or not is_below(name):
                reason = f"expected an id and a file_name below the image folder, got {str(entry)[:QUOTED]}"
                self.faults.append(Fault(FaultKind.BAD_ENTRY, str(source.path), reason))
            elif identifier in self.place:
                reason = f"image id {identifier} is given twice; {name} is left out"
                self.faults.append(Fault(FaultKind.DUPLICATE, str(source.path), reason))
            elif (path := PurePosixPath(name).as_posix()) in self._named:
                self.place[identifier] = self._named[path]
                reason = f"{name} is listed again as image {identifier}; boxes of both are put together"
                self.faults.append(Fault(FaultKind.DUPLICATE, str(source.path), reason))
            else:
                self.place[identifier] = self._named[path] = len(self.entries)
                size = _size(entry.get("height")), _size(entry.get("width"))
                self.entries.append((path, *size))

    def whole_names(self) -> frozenset[int]:
        """Numbers of the images that keep their extension in the frame id; no frame id is given twice.

        Of 000.jpg and 000.png the second does. A name such as 000.png.jpg, whose frame id would be 000.png,
        does too if that is an image's name.
        """
        frames: set[str] = set()
        whole = []
        for number, (name, _, _) in enumerate(self.entries):
            frame = without_extension(name)
            if frame in frames or (frame in self._named and frame != name):
                whole.append(number)
            else:
                frames.add(frame)
        return frozenset(whole)


class _Columns:
    """Annotations as they come: image, category, id and box in columns."""

    def __init__(self, source: _Source, category_place: dict[int, int], images: _Images) -> None:
        self.faults: list[Fault] = []
        self._image, self._category = array("i"), array("i")
        self._annotation, self._box = array("q"), array("d")
        for number, entry in enumerate(source.items("annotations")):
            identifier = _identifier(entry, number)
            found = _check(entry, category_place, images)
            if isinstance(found, tuple):
                kind, reason = found
                self.faults.append(Fault(kind, str(source.path), reason, annotation=identifier))
                continue
            # An id that is 1.0 is the same key as 1.
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
        return FaultKind.BAD_BOX, f"expected an object, got {str(entry)[:QUOTED]}"
    image, category, box = entry.get("image_id"), entry.get("category_id"), entry.get("bbox")
    if _image_id(image) is None or image not in images.place:
        return FaultKind.UNKNOWN_IMAGE, f"image_id {_quoted(image)}"
    if _whole(category) is None or category not in categories:
        return FaultKind.UNKNOWN_CATEGORY, f"category_id {_quoted(category)}"
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
        return FaultKind.BAD_BOX, f"bbox {_quoted(box)}; expected x, y, width, height"
    return box


def _identifier(entry: Any, number: int) -> int:
    """The annotation's id; its place in the list, from 0, where it has none that is a number."""
    identifier = _whole(entry.get("id")) if isinstance(entry, dict) else None
    return identifier if identifier is not None and abs(identifier) < 2**63 else number


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < TOO_LARGE


def _whole(value: Any) -> int | None:
    """A whole number, also one that is written as 1.0, as pandas does."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _image_id(value: Any) -> int | str | None:
    return value if isinstance(value, str) else _whole(value)


def _size(value: Any) -> int:
    """A side in pixels; 0 where it is not known."""
    return max(0, _whole(value) or 0)


def _quoted(value: Any) -> str:
    """A value as the JSON file has it, shortened."""
    return json.dumps(value, ensure_ascii=False, default=str)[:QUOTED]
