"""Reads COCO annotation files as a stream.

A dataset of a million images has gigabytes of JSON, mostly outlines, which are not used.
"""

import dataclasses
import json
from array import array
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import ijson  # type: ignore[import-untyped]
import numpy as np

from frcnn.class_names import stored_class_name
from frcnn.console.foreign_text import printable
from frcnn.data.conversion.box_checks import TOO_LARGE
from frcnn.data.conversion.coco.fold import CocoBoxes, CocoFold, without_extension
from frcnn.data.conversion.faults import MAX_NAMED_OF_DATASET, DataIssue, IssueCollector, IssueKind
from frcnn.data.conversion.plan import LONGEST_CLASS_NAME
from frcnn.data.image_suffixes import is_below
from frcnn.data.json_guard import GuardedJson
from frcnn.errors import DataError

# Maximum characters of a value quoted in a message.
QUOTED = 80


@dataclasses.dataclass(frozen=True)
class CocoFile:
    """Content of an annotation file: category names as spelled there, images and issues."""

    names: tuple[str, ...]
    images: CocoFold
    faults: tuple[DataIssue, ...]


def read_coco(path: Path, image_dir: str) -> CocoFile:
    """Reads an annotation file.

    Args:
        path: Annotation file.
        image_dir: Folder of its images, relative to the dataset root.

    Returns:
        Categories, images with boxes, and issues.

    Raises:
        DataError: The file is unreadable or invalid, or has no images, categories or list of annotations.
    """
    try:
        return _read_any(path, image_dir)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except (ijson.JSONError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: invalid JSON: {_reason(error)}") from error


def _read_any(path: Path, image_dir: str) -> CocoFile:
    """Reads the file in the fastest way that can.

    What makes another way necessary is mostly in fields that are not used: NaN and Infinity, which Python
    writes, and numbers beyond 64 bits, such as ids that are made from hashes.
    """
    try:
        return _read(path, image_dir, without_nan=False)
    except ijson.JSONError:
        pass
    try:
        return _read(path, image_dir, without_nan=True)
    except ijson.JSONError as error:
        if "overflow" not in str(error):
            raise
    return _read(path, image_dir, without_nan=True, any_number=True)


def _reason(error: Exception) -> str:
    """Returns the first line of an error; the library gives bytes where the text is not UTF-8."""
    found = error.args[0] if error.args else ""
    text = found.decode("utf-8", "replace") if isinstance(found, bytes) else str(error)
    line = text.splitlines()[0].strip() if text else type(error).__name__
    hint = "; save the file as UTF-8" if "UTF8" in line or "invalid char in json" in line else ""
    return f"{printable(line)}{hint}"


def _read(path: Path, image_dir: str, *, without_nan: bool, any_number: bool = False) -> CocoFile:
    names = _categories(_Source(path, without_nan, any_number, checked=True))
    source = _Source(path, without_nan, any_number)
    images = _Images(source)
    boxes = _Columns(source, {identifier: index for index, identifier in enumerate(names)}, images)
    stored = tuple(map(stored_class_name, names.values()))
    columns = boxes.sorted(len(images.entries))
    fold = CocoFold(image_dir, str(path), stored, images.entries, columns, images.whole_names())
    return CocoFile(tuple(names.values()), fold, (*images.faults.all(), *boxes.faults.all()))


@dataclasses.dataclass(frozen=True)
class _Source:
    """Annotation file and the options for reading it.

    Attributes:
        path: Annotation file.
        without_nan: As in `GuardedJson`.
        any_number: Whether to read numbers beyond 64 bits, which takes ten times as long.
        checked: As in `GuardedJson`.
    """

    path: Path
    without_nan: bool
    any_number: bool
    checked: bool = False

    def items(self, key: str, *, some: bool = True) -> Iterator[Any]:
        """Yields the elements of a top-level list.

        Args:
            key: Name of the list.
            some: Whether a list without elements is an error, like a missing one.

        Yields:
            Elements of the list.

        Raises:
            DataError: There is no such list, or it has no elements.
        """
        empty = True
        reader = ijson.get_backend("python") if self.any_number else ijson
        with GuardedJson(self.path, checked=self.checked, without_nan=self.without_nan) as stream:
            for item in reader.items(stream, f"{key}.item", use_float=True):
                empty = False
                yield item
        if empty and (some or not self._has_list(key)):
            raise DataError(f"{self.path}: no {key}")

    def _has_list(self, key: str) -> bool:
        with GuardedJson(self.path, checked=self.checked, without_nan=self.without_nan) as stream:
            reader = ijson.get_backend("python") if self.any_number else ijson
            return any(event[:2] == (key, "start_array") for event in reader.parse(stream))


def _categories(source: _Source) -> dict[int, str]:
    """Reads the category names by id, in file order."""
    path, names = source.path, dict[int, str]()
    for entry in source.items("categories"):
        identifier = _whole(entry.get("id")) if isinstance(entry, dict) else None
        name = entry.get("name") if identifier is not None else None
        if identifier is None or not isinstance(name, str) or not 0 < len(name.strip()) <= LONGEST_CLASS_NAME:
            raise DataError(
                f"{path}: categories: found {printable(_quoted(entry))}; expected an integer id and a name "
                f"of at most {LONGEST_CLASS_NAME} characters"
            )
        if identifier in names:
            raise DataError(f"{path}: categories: duplicate id {identifier}")
        names[identifier] = name
    return names


class _Images:
    """File name, height and width of each image entry, and the position of an image by its id."""

    def __init__(self, source: _Source) -> None:
        self.entries: list[tuple[str, int, int]] = []
        self.faults = IssueCollector(str(source.path), MAX_NAMED_OF_DATASET)
        self.place: dict[int | str, int] = {}
        # Position by file name; several entries of a file are one image.
        self._named: dict[str, int] = {}
        for entry in source.items("images"):
            identifier = _image_id(entry.get("id")) if isinstance(entry, dict) else None
            name = entry.get("file_name") if identifier is not None else None
            if identifier is None or not isinstance(name, str) or not is_below(name):
                reason = f"found {_quoted(entry)}; expected an id and a file_name below the image folder"
                self.faults.add(IssueKind.BAD_ENTRY, reason)
            elif identifier in self.place:
                reason = f"duplicate image id {identifier}; {name} is skipped"
                self.faults.add(IssueKind.DUPLICATE, reason)
            elif (path := PurePosixPath(name).as_posix()) in self._named:
                self.place[identifier] = self._named[path]
                reason = f"{name} is listed again as image {identifier}; the boxes of both are merged"
                self.faults.add(IssueKind.DUPLICATE, reason)
            else:
                self.place[identifier] = self._named[path] = len(self.entries)
                size = _size(entry.get("height")), _size(entry.get("width"))
                self.entries.append((path, *size))

    def whole_names(self) -> frozenset[int]:
        """Returns the images whose frame id keeps the extension, so that frame ids are unique.

        Of 000.jpg and 000.png, the second one does. So does 000.png.jpg, whose frame id would be 000.png, if
        000.png is also the name of an image.
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
    """Columns of annotations in file order: image, category, id and box."""

    def __init__(self, source: _Source, category_place: dict[int, int], images: _Images) -> None:
        self.faults = IssueCollector(str(source.path), MAX_NAMED_OF_DATASET)
        self._image, self._category = array("i"), array("i")
        self._annotation, self._box = array("q"), array("d")
        for number, entry in enumerate(source.items("annotations", some=False)):
            identifier = _identifier(entry, number)
            found = _check(entry, category_place, images)
            if isinstance(found, tuple):
                kind, reason = found
                self.faults.add(kind, reason, annotation=identifier)
                continue
            # The id 1.0 equals the key 1.
            self._image.append(images.place[entry["image_id"]])
            self._category.append(category_place[entry["category_id"]])
            self._annotation.append(identifier)
            self._box.extend(found)

    def sorted(self, images: int) -> CocoBoxes:
        """Returns the columns sorted by image, in file order within an image."""
        image = np.frombuffer(self._image, np.int32)
        order = np.argsort(image, kind="stable")
        return CocoBoxes(
            np.searchsorted(image[order], np.arange(images + 1)),
            np.frombuffer(self._annotation, np.int64)[order],
            np.frombuffer(self._category, np.int32)[order],
            np.frombuffer(self._box, np.float64).reshape(-1, 4)[order],
        )


def _check(entry: Any, categories: dict[int, int], images: _Images) -> list[float] | tuple[IssueKind, str]:
    """Returns the box x, y, width, height, or kind and reason of an issue."""
    if not isinstance(entry, dict):
        return IssueKind.BAD_BOX, f"found {_quoted(entry)}; expected an object"
    image, category, box = entry.get("image_id"), entry.get("category_id"), entry.get("bbox")
    if _image_id(image) is None or image not in images.place:
        return IssueKind.UNKNOWN_IMAGE, f"image_id {_quoted(image)}"
    if _whole(category) is None or category not in categories:
        return IssueKind.UNKNOWN_CATEGORY, f"category_id {_quoted(category)}"
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
        return IssueKind.BAD_BOX, f"bbox {_quoted(box)}; expected x, y, width, height"
    return box


def _identifier(entry: Any, number: int) -> int:
    """Returns the annotation's id, or its position in the list, from 0, without a valid id."""
    identifier = _whole(entry.get("id")) if isinstance(entry, dict) else None
    return identifier if identifier is not None and abs(identifier) < 2**63 else number


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < TOO_LARGE


def _whole(value: Any) -> int | None:
    """Returns a whole number; accepts 1.0, as pandas writes it."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _image_id(value: Any) -> int | str | None:
    return value if isinstance(value, str) else _whole(value)


def _size(value: Any) -> int:
    """Returns a side in pixels; 0 if it is unknown."""
    return max(0, _whole(value) or 0)


def _quoted(value: Any) -> str:
    """Returns a value as JSON, truncated."""
    return json.dumps(value, ensure_ascii=False, default=str)[:QUOTED]
