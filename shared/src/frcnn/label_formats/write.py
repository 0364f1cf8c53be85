"""Writes labeled images in one of the formats."""

import contextlib
import dataclasses
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TextIO

from frcnn.data.image_suffixes import stem_of
from frcnn.data.records.annotations import ImageRecord, Label
from frcnn.errors import DataError
from frcnn.label_formats.numbers import coordinate
from frcnn.label_formats.voc import voc_text, xml_text
from frcnn.label_formats.yolo import NAMES, names_text, yolo_lines

ANNOTATIONS = "annotations.json"


@dataclasses.dataclass(frozen=True)
class Item:
    """One image to write.

    Attributes:
        name: File name without folders, unique in its part.
        record: Image with its labels.
        channels: Number of channels; 0 if it is not known.
        path: Image file; `None` if `content` has it.
        content: Content of the image file; `None` if `path` has it.
    """

    name: str
    record: ImageRecord
    channels: int
    path: Path | None
    content: bytes | None


class Writer(Protocol):
    """Writer of a part of a data set."""

    def add(self, item: Item) -> Counter[str]:
        """Writes the labels of an image; returns losses other than label fields."""


IMAGE_FOLDERS = {"kitti": "images", "coco": "images", "voc": "JPEGImages", "yolo": "images"}


@contextlib.contextmanager
def writer(target: str, folder: Path, classes: tuple[str, ...]) -> Iterator[Writer]:
    """Opens a writer for a new folder.

    Args:
        target: Format.
        folder: Folder to create.
        classes: All class names, sorted.

    Yields:
        The writer.
    """
    (folder / IMAGE_FOLDERS[target]).mkdir(parents=True)
    if target == "coco":
        with _CocoWriter(folder, classes) as coco:
            yield coco
    elif target == "kitti":
        yield _KittiWriter(folder)
    elif target == "voc":
        yield _VocWriter(folder)
    else:
        yield _YoloWriter(folder, classes)


def place_image(item: Item, target: Path, final: Path, *, copy: bool) -> None:
    """Puts an image file into a data set.

    Args:
        item: Image.
        target: File to create.
        final: Path that the file will have once the data set is complete, for relative links.
        copy: Whether to copy; otherwise a link is created.

    Raises:
        DataError: The image file disappeared.
    """
    try:
        if item.content is not None:
            target.write_bytes(item.content)
        elif item.path is None:
            raise DataError(f"{item.name}: the record has no image file; give its folder with --images")
        elif copy:
            shutil.copyfile(item.path, target)
        else:
            target.symlink_to(os.path.relpath(item.path.resolve(), final.parent.resolve()))
    except FileNotFoundError as error:
        raise DataError(f"{item.path}: no longer there") from error


class _KittiWriter:
    def __init__(self, folder: Path) -> None:
        self._folder = folder / "labels"
        self._folder.mkdir()

    def add(self, item: Item) -> Counter[str]:
        lost: Counter[str] = Counter()
        lines = []
        for label in item.record.labels:
            name = "".join(label.class_name.split())
            lost["objects: spaces in the class name, which KITTI cannot hold"] += name != label.class_name
            lines.append(_kitti_line(name, label))
        _write(self._folder / f"{stem_of(item.name)}.txt", "".join(lines))
        return +lost


def _kitti_line(name: str, label: Label) -> str:
    box = (label.x1, label.y1, label.x2, label.y2)
    world = (label.world_height, label.world_width, label.world_length)
    place = (label.world_x, label.world_y, label.world_z, label.rotation_y)
    values = (label.observation_angle, *box, *world, *place)
    return f"{name} {coordinate(label.truncation)} {label.occlusion} {' '.join(map(coordinate, values))}\n"


class _VocWriter:
    def __init__(self, folder: Path) -> None:
        self._folder = folder / "Annotations"
        self._folder.mkdir()

    def add(self, item: Item) -> Counter[str]:
        _write(self._folder / f"{stem_of(item.name)}.xml", voc_text(item.record, item.name, item.channels))
        names = [label.class_name for label in item.record.labels]
        escaped = sum(xml_text(name) != name for name in names)
        return +Counter({"objects: control characters in the class name, which XML cannot hold": escaped})


class _YoloWriter:
    def __init__(self, folder: Path, classes: tuple[str, ...]) -> None:
        self._folder = folder / "labels"
        self._folder.mkdir()
        self._numbers = {name: number for number, name in enumerate(classes)}
        _write(folder / NAMES, names_text(classes))

    def add(self, item: Item) -> Counter[str]:
        lines, clipped = yolo_lines(item.record, self._numbers)
        _write(self._folder / f"{stem_of(item.name)}.txt", lines)
        return +Counter({"objects: the part outside the image": clipped})


class _CocoWriter:
    """Writer of one JSON file; annotations go to a second file until the list of images is complete."""

    def __init__(self, folder: Path, classes: tuple[str, ...]) -> None:
        self._folder = folder
        self._numbers = {name: number for number, name in enumerate(classes, 1)}
        self._stack = contextlib.ExitStack()
        self._images = self._annotations = 0

    def __enter__(self) -> "_CocoWriter":
        self._file = self._stack.enter_context((self._folder / ANNOTATIONS).open("w", encoding="utf-8"))
        self._aside = self._folder / f".{ANNOTATIONS}.boxes"
        self._boxes = self._stack.enter_context(self._aside.open("w+", encoding="utf-8"))
        categories = [{"id": number, "name": name} for name, number in self._numbers.items()]
        self._file.write(f'{{"categories": {json.dumps(categories, ensure_ascii=False)},\n"images": [')
        return self

    def __exit__(self, *details: object) -> None:
        with self._stack:
            self._file.write('],\n"annotations": [')
            self._boxes.seek(0)
            shutil.copyfileobj(self._boxes, self._file)
            self._file.write("]}\n")
        self._aside.unlink()

    def add(self, item: Item) -> Counter[str]:
        self._images += 1
        record = item.record
        entry = {"id": self._images, "file_name": item.name, "width": record.width, "height": record.height}
        _entry(self._file, entry, first=self._images == 1)
        for label in record.labels:
            self._annotations += 1
            sides = label.x2 - label.x1, label.y2 - label.y1
            box = [round(value, 4) for value in (label.x1, label.y1, *sides)]
            annotation = {
                "id": self._annotations,
                "image_id": self._images,
                "category_id": self._numbers[label.class_name],
                "bbox": box,
                "area": round(sides[0] * sides[1], 4),
                "iscrowd": 0,
            }
            _entry(self._boxes, annotation, first=self._annotations == 1)
        return Counter()


def _entry(stream: TextIO, entry: dict[str, object], *, first: bool) -> None:
    stream.write(f"{'' if first else ','}\n{json.dumps(entry, ensure_ascii=False)}")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
