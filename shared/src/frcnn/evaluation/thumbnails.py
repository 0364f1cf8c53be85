"""Keeps the worst errors and a sample of images of an evaluation as small pictures.

H and W are in pixels of the network input.
"""

import base64
import dataclasses
import io
from collections.abc import Iterator
from typing import Self

import numpy as np

# Errors to keep, longer side of an image in px, and margin around a box as a share of the box's longer side.
KEPT = 12
SIDE = 176
SURROUNDINGS = 0.6
_SMALLEST = 48.0  # shortest shown side, px of the network input
_LINE = 2


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    """Small picture with a caption.

    Attributes:
        priority: Priority; higher is kept.
        data: Contents of the image file.
        width: Width of the image, px.
        height: Height of the image, px.
        caption: Description.
        kind: Media type, `image/png` or `image/jpeg`.
    """

    priority: float
    data: bytes
    width: int
    height: int
    caption: str
    kind: str = "image/png"

    @property
    def data_uri(self) -> str:
        """Image for the `src` of an `<img>`."""
        return f"data:{self.kind};base64,{base64.b64encode(self.data).decode()}"

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
        from PIL import Image, ImageDraw

        from frcnn.drawing.colors import class_color, text_color

        y1, x1, y2, x2 = _window(box, pixels.shape[:2])
        part = Image.fromarray(np.ascontiguousarray(pixels[y1:y2, x1:x2]))
        scale = SIDE / max(part.size)
        part = part.resize((max(1, round(part.width * scale)), max(1, round(part.height * scale))))
        corners = [(box[at] - origin + extra) * scale for at, origin, extra in
                   ((1, x1, 0), (0, y1, 0), (3, x1, 1), (2, y1, 1))]  # fmt: skip
        left, top = (max(0.0, each) for each in corners[:2])
        right, bottom = (min(limit - 1.0, each) for each, limit in zip(corners[2:], part.size, strict=True))
        draw, color = ImageDraw.Draw(part), class_color(class_index)
        outline = (max(left - 1, 0), max(top - 1, 0), right + 1, bottom + 1)
        draw.rectangle(outline, outline=text_color(color))
        draw.rectangle((left, top, max(right, left), max(bottom, top)), outline=color, width=_LINE)
        buffer = io.BytesIO()
        part.save(buffer, "PNG", optimize=True)
        return cls(priority, buffer.getvalue(), part.width, part.height, caption)


class TopThumbnails:
    """Pictures of highest priority. Only these are drawn."""

    def __init__(self, most: int = KEPT) -> None:
        """Creates an empty collection.

        Args:
            most: Largest number of pictures.
        """
        self._most = most
        self._kept: list[Thumbnail] = []

    def takes(self, priority: float) -> bool:
        """Checks whether a picture would be kept.

        Args:
            priority: Priority; higher is kept.

        Returns:
            `True` if there is room, or a kept picture has a lower priority.
        """
        return len(self._kept) < self._most or priority > self._kept[-1].priority

    def add(self, picture: Thumbnail) -> None:
        """Adds a picture. Among equal priorities, the first is kept.

        Args:
            picture: Picture that `takes` accepts.
        """
        self._kept = sorted([*self._kept, picture], key=lambda each: -each.priority)[: self._most]

    def __iter__(self) -> Iterator[Thumbnail]:
        """Iterates over the pictures, highest priority first."""
        return iter(self._kept)

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return len(self._kept)


def _window(box: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Returns y1, x1, y2, x2 of the shown part of an image: the box with its surroundings."""
    edges: list[int] = []
    sides = [float(box[2] - box[0] + 1), float(box[3] - box[1] + 1)]
    shown = max(_SMALLEST, (1.0 + 2.0 * SURROUNDINGS) * max(sides))
    for axis in (0, 1):
        middle = (float(box[axis]) + float(box[axis + 2])) / 2.0
        length = min(shown, size[axis])
        start = min(max(0.0, middle - length / 2.0), size[axis] - length)
        edges += [int(start), int(np.ceil(start + length))]
    return edges[0], edges[2], edges[1], edges[3]
