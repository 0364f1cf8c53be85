"""Keeps the worst errors and a sample of images of an evaluation as small pictures.

H and W are in pixels of the network input.
"""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np

from frcnn.drawing.thumbnail import Thumbnail, cut

# Errors of each kind to keep.
KEPT = 12


@dataclasses.dataclass(frozen=True)
class RankedThumbnail:
    """Picture with a caption.

    Attributes:
        priority: Priority; higher is kept.
        picture: Picture.
        caption: Description.
    """

    priority: float
    picture: Thumbnail
    caption: str

    @classmethod
    def cut(
        cls, priority: float, pixels: np.ndarray, box: np.ndarray, class_index: int, caption: str
    ) -> Self:
        """Cuts a box with its surroundings out of an image.

        Args:
            priority: Priority; higher is kept.
            pixels: RGB image, uint8 `[H, W, 3]`.
            box: Box, `yxyx` in pixels, `[4]`.
            class_index: Index of the class, for the color.
            caption: Description of the error.

        Returns:
            Picture of the box.
        """
        return cls(priority, cut(pixels, box, class_index), caption)


class TopThumbnails:
    """Pictures of highest priority. Only these are drawn."""

    def __init__(self, most: int = KEPT) -> None:
        """Creates an empty collection.

        Args:
            most: Largest number of pictures.
        """
        self._most = most
        self._kept: list[RankedThumbnail] = []

    def takes(self, priority: float) -> bool:
        """Checks whether a picture would be kept.

        Args:
            priority: Priority; higher is kept.

        Returns:
            `True` if there is room, or a kept picture has a lower priority.
        """
        return len(self._kept) < self._most or priority > self._kept[-1].priority

    def add(self, picture: RankedThumbnail) -> None:
        """Adds a picture. Among equal priorities, the first is kept.

        Args:
            picture: Picture that `takes` accepts.
        """
        self._kept = sorted([*self._kept, picture], key=lambda each: -each.priority)[: self._most]

    def __iter__(self) -> Iterator[RankedThumbnail]:
        """Iterates over the pictures, highest priority first."""
        return iter(self._kept)

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return len(self._kept)
