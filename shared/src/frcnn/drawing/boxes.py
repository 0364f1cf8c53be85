"""Boxes and captions on an image, in sizes that suit it and colours that tell the classes apart."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from frcnn.drawing.colors import class_colour, text_colour

# Shares of the mean side of the image, and the least that can still be seen or read, in px.
_LINE_SHARE, _MIN_LINE = 0.0045, 1
_FONT_SHARE, _MIN_FONT = 0.02, 11
_PADDING_SHARE = 0.2  # round a caption's text, of the font size

Rectangle = tuple[int, int, int, int]  # x1, y1, x2, y2; the right and lower edge are not part of it


@dataclasses.dataclass(frozen=True)
class Style:
    """Sizes in px that suit an image."""

    line: int
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    padding: int

    @classmethod
    def of(cls, height: int, width: int) -> "Style":
        """Thicker lines and larger letters on larger images."""
        mean_side = (height + width) / 2
        size = max(_MIN_FONT, round(_FONT_SHARE * mean_side))
        return cls(
            line=max(_MIN_LINE, round(_LINE_SHARE * mean_side)),
            font=ImageFont.load_default(size),
            padding=max(1, round(_PADDING_SHARE * size)),
        )


def annotate(
    pixels: np.ndarray, boxes: np.ndarray, classes: np.ndarray, captions: Sequence[str] | None = None
) -> Image.Image:
    """A copy of an image with boxes drawn on it.

    Args:
        pixels: uint8 [h, w, 3], RGB.
        boxes: [N, 4] yxyx px, most important first: it is drawn on top, and its caption placed first.
        classes: int [N], class indices, which decide the colours.
        captions: [N] texts, or None for boxes only. Each stays inside the image and, where there is
            room, clear of the captions placed before.
    """
    image = Image.fromarray(pixels)
    height, width = pixels.shape[:2]
    style, canvas = Style.of(height, width), ImageDraw.Draw(image)
    limits = [width - 1, height - 1, width - 1, height - 1]
    corners = np.clip(np.rint(np.asarray(boxes).reshape(-1, 4)[:, [1, 0, 3, 2]]), 0, limits).astype(int)
    for box, index in reversed(list(zip(corners.tolist(), classes.tolist(), strict=True))):
        _draw_box(canvas, box, index, style.line)
    placed: list[Rectangle] = []
    for box, index, text in zip(corners.tolist(), classes.tolist(), captions or (), strict=False):
        placed.append(_draw_caption(canvas, text, box, index, style, placed))
    return image


def _draw_box(canvas: ImageDraw.ImageDraw, box: Sequence[int], index: int, line: int) -> None:
    x1, y1, x2, y2 = box
    colour = class_colour(index)
    # A thin edge of the opposite brightness keeps the box visible on a background of its own colour.
    canvas.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=text_colour(colour))
    canvas.rectangle((x1, y1, x2, y2), outline=colour, width=line)


def _draw_caption(
    canvas: ImageDraw.ImageDraw,
    text: str,
    box: Sequence[int],
    index: int,
    style: Style,
    placed: Sequence[Rectangle],
) -> Rectangle:
    image_size = canvas.im.size
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=style.font)
    # The height of a line, not of these letters: captions of one picture should look alike.
    _, line_top, _, line_bottom = canvas.textbbox((0, 0), "Ag", font=style.font)
    top, bottom = min(top, line_top), max(bottom, line_bottom)
    size = round(right - left) + 2 * style.padding, round(bottom - top) + 2 * style.padding
    place = place_caption(box, size, image_size, placed)
    colour = class_colour(index)
    canvas.rectangle((place[0], place[1], place[2] - 1, place[3] - 1), fill=colour)
    origin = place[0] + style.padding - left, place[1] + style.padding - top
    canvas.text(origin, text, font=style.font, fill=text_colour(colour))
    return place


def place_caption(
    box: Sequence[int], size: tuple[int, int], image_size: tuple[int, int], placed: Sequence[Rectangle]
) -> Rectangle:
    """Where a caption of `size` (width, height) goes.

    Tried in turn: above the box, inside its upper edge, below the box, inside its lower edge, each at its
    left and its right end. The first place free of the captions in `placed` wins, else the one that covers
    least of them. Places that reach out of the image are moved into it.
    """
    x1, y1, x2, y2 = box
    width, height = size
    rows = (y1 - height, y1, y2 + 1, y2 + 1 - height)
    places = [_inside(x, y, size, image_size) for y in rows for x in (x1, x2 + 1 - width)]
    return min(places, key=lambda place: sum(_common_area(place, other) for other in placed))


def _inside(x: int, y: int, size: tuple[int, int], image_size: tuple[int, int]) -> Rectangle:
    x = max(0, min(x, image_size[0] - size[0]))
    y = max(0, min(y, image_size[1] - size[1]))
    return x, y, x + size[0], y + size[1]


def _common_area(one: Rectangle, other: Rectangle) -> int:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, width) * max(0, height)
