"""Crops single objects out of images and draws their box."""

import base64
import dataclasses
import io
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from frcnn.drawing.colors import class_color, text_color

# Longer side of a thumbnail, px, and margin around a box as a share of the box's longer side.
SIDE = 176
SURROUNDINGS = 0.6
_SMALLEST = 48.0  # shortest shown side, px of the image
_LINE = 2
_JPEG_QUALITY = 85


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    """Small image of an object.

    Attributes:
        content: Content of the image file.
        kind: Format of the file.
        width: Width of the image, px.
        height: Height of the image, px.
    """

    content: bytes
    kind: Literal["png", "jpeg"]
    width: int
    height: int

    @property
    def data_uri(self) -> str:
        """Image for the `src` of an `<img>`."""
        return f"data:image/{self.kind};base64,{base64.b64encode(self.content).decode()}"


def cut(
    pixels: np.ndarray, box: np.ndarray, class_index: int, kind: Literal["png", "jpeg"] = "png"
) -> Thumbnail:
    """Crops a box with its surroundings out of an image.

    Args:
        pixels: RGB image, uint8 `[H, W, 3]`.
        box: Box, `yxyx` in pixels, `[4]`.
        class_index: Index of the class, for the color.
        kind: Format of the thumbnail; JPEG files are much smaller.

    Returns:
        The thumbnail.
    """
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
    part.save(buffer, kind.upper(), optimize=True, quality=_JPEG_QUALITY)
    return Thumbnail(buffer.getvalue(), kind, part.width, part.height)


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
