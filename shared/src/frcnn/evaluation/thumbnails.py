"""Keeps the worst errors of an evaluation as small images.

H and W are in pixels of the network input.
"""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np

from frcnn.drawing.thumbnail import Thumbnail, cut

# Errors to keep.
KEPT = 12


@dataclasses.dataclass(frozen=True)
class ErrorExample:
    """Image of an error with the box drawn on it.

    Attributes:
        priority: Priority; higher is worse.
        png: Image as PNG.
        width: Width of the image, px.
        height: Height of the image, px.
        caption: Description of the error.
    """

    priority: float
    png: bytes
    width: int
    height: int
    caption: str

    @property
    def data_uri(self) -> str:
        """Image for the `src` of an `<img>`."""
        return Thumbnail(self.png, "png", self.width, self.height).data_uri

    @classmethod
    def cut(
        cls, priority: float, pixels: np.ndarray, box: np.ndarray, class_index: int, caption: str
    ) -> Self:
        """Cuts a box with its surroundings out of an image.

        Args:
            priority: Priority; higher is worse.
            pixels: RGB image, uint8 `[H, W, 3]`.
            box: Box, `yxyx` in pixels, `[4]`.
            class_index: Index of the class, for the color.
            caption: Description of the error.

        Returns:
            Error with its image.
        """
        found = cut(pixels, box, class_index)
        return cls(priority, found.content, found.width, found.height, caption)


class TopErrors:
    """Errors of highest priority, at most `KEPT`. Only these are turned into images."""

    def __init__(self) -> None:
        """Creates an empty collection."""
        self._kept: list[ErrorExample] = []

    def takes(self, priority: float) -> bool:
        """Checks whether an error would be kept.

        Args:
            priority: Priority; higher is worse.

        Returns:
            `True` if there is room, or a kept error has a lower priority.
        """
        return len(self._kept) < KEPT or priority > self._kept[-1].priority

    def add(self, mistake: ErrorExample) -> None:
        """Adds an error. Among equal priorities, the first is kept.

        Args:
            mistake: Error that `takes` accepts.
        """
        self._kept = sorted([*self._kept, mistake], key=lambda each: -each.priority)[:KEPT]

    def __iter__(self) -> Iterator[ErrorExample]:
        """Iterates over the errors, worst first."""
        return iter(self._kept)

    def __len__(self) -> int:
        """Returns the number of errors."""
        return len(self._kept)
