"""Keeps the images and boxes of a COCO annotation file: their file names and about 60 bytes per box."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import overload

import numpy as np

from frcnn.data.conversion.coco.reader import CocoBox, CocoImage


@dataclasses.dataclass(frozen=True)
class CocoBoxes:
    """Columns sorted by image; image `i` has rows `starts[i]` to `starts[i + 1]` - 1."""

    starts: np.ndarray
    annotation: np.ndarray
    category: np.ndarray
    box: np.ndarray

    def of(self, image: int) -> Iterator[tuple[int, int, list[float]]]:
        """Yields annotation id, category and (x, y, width, height) of each box of an image."""
        rows = slice(self.starts[image], self.starts[image + 1])
        columns = (self.annotation[rows], self.category[rows], self.box[rows])
        return zip(*(column.tolist() for column in columns), strict=True)


@dataclasses.dataclass(frozen=True)
class CocoFold(Sequence[CocoImage]):
    """Images of one annotation file, in file order, created on access.

    Attributes:
        image_dir: Image folder below the root.
        annotation_file: Path of the annotation file.
        categories: Stored class names.
        entries: File name, height and width of each image.
        boxes: Boxes by image.
        whole_names: Indices of the images whose frame id keeps the extension, because the name without it
            belongs to another image.
    """

    image_dir: str
    annotation_file: str
    categories: tuple[str, ...]
    entries: Sequence[tuple[str, int, int]]
    boxes: CocoBoxes
    whole_names: frozenset[int] = frozenset()

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.entries)

    @overload
    def __getitem__(self, index: int) -> CocoImage: ...
    @overload
    def __getitem__(self, index: slice) -> list[CocoImage]: ...
    def __getitem__(self, index: int | slice) -> CocoImage | list[CocoImage]:
        """Returns one image with its boxes, or a list of images for a slice."""
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        name, height, width = self.entries[index]
        boxes = tuple(
            CocoBox(annotation, self.categories[category], *box)
            for annotation, category, box in self.boxes.of(index)
        )
        frame = name if index in self.whole_names else without_extension(name)
        return CocoImage(self.image_dir, name, self.annotation_file, height, width, boxes, frame)


def without_extension(name: str) -> str:
    """Returns the path of an image without the extension."""
    return PurePosixPath(name).with_suffix("").as_posix()
