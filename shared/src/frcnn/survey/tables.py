"""Tables of a survey: images in memory (22 bytes each), objects in a temporary file (24 bytes each)."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from frcnn.data.conversion.faults import DataIssue, IssueKind
from frcnn.files import unlinked_file
from frcnn.survey.sources import Source

# Sizes are those that labels refer to. `objects` counts labeled objects, without DontCare regions.
IMAGE = np.dtype(
    [
        ("height", "u4"),
        ("width", "u4"),
        ("objects", "u4"),
        ("file_bytes", "u4"),
        ("fold", "u2"),
        ("channels", "u1"),
        ("orientation", "u1"),
        ("usable", "?"),
        ("unused_bits", "u1"),
    ]
)
# Boxes are `x1 y1 x2 y2`, px of the image.
OBJECT = np.dtype([("image", "u4"), ("label", "u4"), ("box", "f4", (4,))])
# Objects to process at a time.
CHUNK = 1 << 17
# Issues to show.
SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Place:
    """Place of an image: its source and its job there."""

    source: Source
    job: Any


@dataclasses.dataclass
class Tables:
    """Images and objects that a survey has read.

    Attributes:
        sources: Surveyed data sets.
        folds: Names of the folds.
        labels: Class names; `OBJECT["label"]` is an index into them.
        images: Rows of type `IMAGE`, in the order of the sources and their folds.
        objects: Rows of type `OBJECT`, mapped from a temporary file.
        issues: Number of issues of each kind, as dataset_convert counts them.
        first_issues: The first few issues.
        regions: Number of DontCare regions.
    """

    sources: tuple[Source, ...]
    folds: tuple[str, ...]
    labels: tuple[str, ...]
    images: np.ndarray
    objects: np.ndarray
    issues: Counter[IssueKind]
    first_issues: tuple[DataIssue, ...]
    regions: int

    def chunks(self) -> Iterator[np.ndarray]:
        """Yields the objects in parts of limited size; those of an image are in one part."""
        owners = self.objects["image"]
        start = 0
        while start < len(owners):
            end = start + CHUNK
            if end < len(owners):
                first = int(np.searchsorted(owners, owners[end]))
                end = first if first > start else int(np.searchsorted(owners, owners[end], "right"))
            yield np.asarray(self.objects[start:end])
            start = end

    def place(self, image: int) -> Place:
        """Returns the place of an image.

        Args:
            image: Index of its row.
        """
        for source in self.sources:
            for fold in source.folds:
                if image < len(fold.jobs):
                    return Place(source, fold.jobs[image])
                image -= len(fold.jobs)
        raise IndexError(image)

    @property
    def usable(self) -> np.ndarray:
        """Rows of the images that can be trained on."""
        rows: np.ndarray = self.images[self.images["usable"]]
        return rows


class ObjectFile:
    """Temporary file of object rows; it disappears even if the process is killed."""

    def __init__(self) -> None:
        """Creates the file."""
        self._stack = contextlib.ExitStack()
        self._path: Path = self._stack.enter_context(unlinked_file())
        self._stream = self._stack.enter_context(self._path.open("wb"))
        self._rows = 0

    def __enter__(self) -> Self:
        """Returns the file."""
        return self

    def __exit__(self, *details: object) -> None:
        """Removes the file; arrays from `rows` must not be used afterwards."""
        self._stack.close()

    def append(self, rows: np.ndarray) -> None:
        """Appends rows of type `OBJECT`."""
        self._stream.write(rows.tobytes())
        self._rows += len(rows)

    def rows(self) -> np.ndarray:
        """Returns all rows as a read-only array whose pages the system can reclaim."""
        self._stream.flush()
        if not self._rows:
            return np.zeros(0, OBJECT)
        return np.memmap(self._path, OBJECT, "r", shape=(self._rows,))
