"""Draws boxes and captions on images, with sizes that fit the image and one color per class."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from frcnn.drawing.colors import class_color, text_color

# Fractions of the mean image side, and the smallest legible sizes in px.
_LINE_SHARE, _MIN_LINE = 0.0045, 1
_FONT_SHARE, _MIN_FONT = 0.02, 11
_PADDING_SHARE = 0.2  # padding around a caption's text, as a fraction of the font size

Rectangle = tuple[int, int, int, int]  # x1, y1, x2, y2; the right and lower edges are exclusive


@dataclasses.dataclass(frozen=True)
class Style:
    """Line width, font and padding for an image, px."""

    line: int
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    padding: int

    @classmethod
    def of(cls, height: int, width: int, smallest: int = _MIN_FONT) -> "Style":
        """Chooses the style for an image: larger images get thicker lines and larger letters.

        Args:
            height: Height of the image, px.
            width: Width of the image, px.
            smallest: Smallest size of the letters, px.
        """
        mean_side = (height + width) / 2
        size = max(smallest, round(_FONT_SHARE * mean_side))
        return cls(
            line=max(_MIN_LINE, round(_LINE_SHARE * mean_side)),
            font=ImageFont.load_default(size),
            padding=max(1, round(_PADDING_SHARE * size)),
        )


def annotate(
    pixels: np.ndarray,
    boxes: np.ndarray,
    classes: np.ndarray,
    captions: Sequence[str] | None = None,
    style: Style | None = None,
) -> Image.Image:
    """Draws boxes on a copy of an image.

    Args:
        pixels: Image, uint8 `[h, w, 3]`, RGB.
        boxes: Boxes, `yxyx` in pixels, `[N, 4]`, most important first: the first is drawn on top and its
            caption is placed first.
        classes: Class indices, int `[N]`; they determine the colors.
        captions: Texts, `[N]`, or `None` for boxes only. Captions stay inside the image and, if there is
            room, do not overlap.
        style: Lines and letters, or `None` for those that fit the size of the image.

    Returns:
        The annotated image.
    """
    image = Image.fromarray(pixels)
    height, width = pixels.shape[:2]
    style, canvas = style or Style.of(height, width), ImageDraw.Draw(image)
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
    color = class_color(index)
    # A thin edge of the opposite brightness keeps the box visible on a background of the same color.
    canvas.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=text_color(color))
    canvas.rectangle((x1, y1, x2, y2), outline=color, width=line)


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
    # Use the line height instead of the letters' height, so that all captions have the same height.
    _, line_top, _, line_bottom = canvas.textbbox((0, 0), "Ag", font=style.font)
    top, bottom = min(top, line_top), max(bottom, line_bottom)
    size = round(right - left) + 2 * style.padding, round(bottom - top) + 2 * style.padding
    place = place_caption(box, size, image_size, placed)
    color = class_color(index)
    canvas.rectangle((place[0], place[1], place[2] - 1, place[3] - 1), fill=color)
    origin = place[0] + style.padding - left, place[1] + style.padding - top
    canvas.text(origin, text, font=style.font, fill=text_color(color))
    return place


def place_caption(
    box: Sequence[int], size: tuple[int, int], image_size: tuple[int, int], placed: Sequence[Rectangle]
) -> Rectangle:
    """Chooses the position of a caption.

    Candidates in order: above the box, inside its upper edge, below the box, inside its lower edge, each at
    the left and at the right end. The first candidate that overlaps no placed caption wins, otherwise the
    one with the smallest overlap. Candidates that extend beyond the image are moved into it.

    Args:
        box: Box, x1, y1, x2, y2 in pixels.
        size: Width and height of the caption, px.
        image_size: Width and height of the image, px.
        placed: Captions placed before.

    Returns:
        Rectangle of the caption.
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
