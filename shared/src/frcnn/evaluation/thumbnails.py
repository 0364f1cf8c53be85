"""Keeps the worst errors and a sample of images of an evaluation as thumbnails.

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
    """Thumbnail with a caption.

    Attributes:
        priority: Priority; higher is kept.
        picture: Thumbnail.
        caption: Description.
    """

    priority: float
    picture: Thumbnail
    caption: str

    @classmethod
    def cut(
        cls, priority: float, pixels: np.ndarray, box: np.ndarray, class_index: int, caption: str
    ) -> Self:
        """Crops a box with its surroundings out of an image.

        Args:
            priority: Priority; higher is kept.
            pixels: RGB image, uint8 `[H, W, 3]`.
            box: Box, `yxyx` in pixels, `[4]`.
            class_index: Index of the class, for the color.
            caption: Description of the error.

        Returns:
            Thumbnail of the box.
        """
        return cls(priority, cut(pixels, box, class_index), caption)


class TopThumbnails:
    """Thumbnails of highest priority. Only these are drawn."""

    def __init__(self, most: int = KEPT) -> None:
        """Creates an empty collection.

        Args:
            most: Maximum number of thumbnails.
        """
        self._most = most
        self._kept: list[RankedThumbnail] = []

    def takes(self, priority: float) -> bool:
        """Checks whether a thumbnail would be kept.

        Args:
            priority: Priority; higher is kept.

        Returns:
            `True` if there is room, or a kept one has a lower priority.
        """
        return len(self._kept) < self._most or priority > self._kept[-1].priority

    def add(self, picture: RankedThumbnail) -> None:
        """Adds a thumbnail. Among equal priorities, the first is kept.

        Args:
            picture: Thumbnail that `takes` accepts.
        """
        self._kept = sorted([*self._kept, picture], key=lambda each: -each.priority)[: self._most]

    def __iter__(self) -> Iterator[RankedThumbnail]:
        """Iterates over the thumbnails, highest priority first."""
        return iter(self._kept)

    def __len__(self) -> int:
        """Returns the number of thumbnails."""
        return len(self._kept)
