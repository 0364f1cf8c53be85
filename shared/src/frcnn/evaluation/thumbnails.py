"""The few worst mistakes of an evaluation, as small pictures; H and W are pixels of the network input."""

import base64
import dataclasses
import io
from collections.abc import Iterator
from typing import Self

import numpy as np

# How many are kept, the longer side of a picture in px, and how much of its surroundings a box is shown with.
KEPT = 12
SIDE = 176
SURROUNDINGS = 0.6
_SMALLEST = 48.0  # px of the network input that are shown at least
_LINE = 2


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A picture with the box in question drawn on it: PNG bytes, and what to say about it."""

    priority: float
    png: bytes
    width: int
    height: int
    caption: str

    @property
    def data_uri(self) -> str:
        """The picture, for the `src` of an `<img>`."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"

    @classmethod
    def cut(
        cls, priority: float, pixels: np.ndarray, box: np.ndarray, class_index: int, caption: str
    ) -> Self:
        """Cuts the box [4] (yxyx px) with its surroundings out of an image, uint8 [H, W, 3]."""
        from PIL import Image, ImageDraw

        from frcnn.drawing.colors import class_colour, text_colour

        y1, x1, y2, x2 = _window(box, pixels.shape[:2])
        part = Image.fromarray(np.ascontiguousarray(pixels[y1:y2, x1:x2]))
        scale = SIDE / max(part.size)
        part = part.resize((max(1, round(part.width * scale)), max(1, round(part.height * scale))))
        corners = [(box[at] - origin + extra) * scale for at, origin, extra in
                   ((1, x1, 0), (0, y1, 0), (3, x1, 1), (2, y1, 1))]  # fmt: skip
        left, top = (max(0.0, each) for each in corners[:2])
        right, bottom = (min(limit - 1.0, each) for each, limit in zip(corners[2:], part.size, strict=True))
        draw, colour = ImageDraw.Draw(part), class_colour(class_index)
        outline = (max(left - 1, 0), max(top - 1, 0), right + 1, bottom + 1)
        draw.rectangle(outline, outline=text_colour(colour))
        draw.rectangle((left, top, max(right, left), max(bottom, top)), outline=colour, width=_LINE)
        buffer = io.BytesIO()
        part.save(buffer, "PNG", optimize=True)
        return cls(priority, buffer.getvalue(), part.width, part.height, caption)


class Worst:
    """The mistakes of highest priority, no more than `KEPT`; pictures are made of these only."""

    def __init__(self) -> None:
        """None yet."""
        self._kept: list[Mistake] = []

    def takes(self, priority: float) -> bool:
        """Whether a mistake of this priority would be among them."""
        return len(self._kept) < KEPT or priority > self._kept[-1].priority

    def add(self, mistake: Mistake) -> None:
        """Adds one that `takes`; of equal ones the first stays."""
        self._kept = sorted([*self._kept, mistake], key=lambda each: -each.priority)[:KEPT]

    def __iter__(self) -> Iterator[Mistake]:
        """The worst first."""
        return iter(self._kept)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._kept)


def _window(box: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """y1, x1, y2, x2 of what is shown of an image: the box and its surroundings, inside the image."""
    edges: list[int] = []
    sides = [float(box[2] - box[0] + 1), float(box[3] - box[1] + 1)]
    shown = max(_SMALLEST, (1.0 + 2.0 * SURROUNDINGS) * max(sides))
    for axis in (0, 1):
        middle = (float(box[axis]) + float(box[axis + 2])) / 2.0
        length = min(shown, size[axis])
        start = min(max(0.0, middle - length / 2.0), size[axis] - length)
        edges += [int(start), int(np.ceil(start + length))]
    return edges[0], edges[2], edges[1], edges[3]
