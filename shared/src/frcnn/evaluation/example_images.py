"""Draws example images of an evaluation: shown detections and missed objects.

N detections, G objects of an image.
"""

import io
from collections.abc import Sequence
from zlib import crc32

import numpy as np
from PIL import Image, ImageDraw

from frcnn.drawing.boxes import Style, annotate
from frcnn.drawing.thumbnail import Thumbnail
from frcnn.evaluation.evaluation_state import Found, Objects
from frcnn.evaluation.thumbnails import RankedThumbnail

# Number of images, and longer side of each, px.
EXAMPLES = 6
EXAMPLE_SIDE = 480
_LETTERS = 16  # px; on a phone and in three columns, the page shows the images at about 350 px
_QUALITY = 88
_DASH = 6  # px
_MISSED = (255, 255, 255)


def example_priority(frame: str) -> float:
    """Draws a number for an image by its name, so that the sample depends neither on order nor on batches.

    Args:
        frame: Name of the image.

    Returns:
        Priority; the images with the highest ones are shown.
    """
    return float(crc32(frame.encode("utf-8", "surrogateescape")))


def draw_example(
    frame: str,
    pixels: np.ndarray,
    objects: Objects,
    found: Found,
    correct: np.ndarray,
    missed: np.ndarray,
    names: Sequence[str],
) -> RankedThumbnail:
    """Draws the detections and the missed objects of an image.

    Args:
        frame: Name of the image.
        pixels: RGB image, uint8 `[H, W, 3]`.
        objects: Labeled objects.
        found: Shown detections.
        correct: Whether a detection is correct or not counted, bool `[N]`.
        missed: Indices of the missed objects.
        names: Class names by index.

    Returns:
        Picture with its caption.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    scale = EXAMPLE_SIDE / max(image.size)
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    order = np.argsort(-found.scores, kind="stable")
    captions = [
        f"{names[found.classes[at]]} {found.scores[at]:.2f}{'' if correct[at] else ' wrong'}"
        for at in order.tolist()
    ]
    style = Style.of(image.height, image.width, _LETTERS)
    drawn = annotate(np.asarray(image), found.boxes[order] * scale, found.classes[order], captions, style)
    for at in missed.tolist():
        _draw_missed(drawn, objects.boxes[at] * scale, f"missed {names[objects.classes[at]]}", style)
    buffer = io.BytesIO()
    drawn.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    counts = f"{int(correct.sum())} correct, {int((~correct).sum())} wrong, {len(missed)} missed"
    caption = f"{frame}: {counts}"
    picture = Thumbnail(buffer.getvalue(), "jpeg", drawn.width, drawn.height)
    return RankedThumbnail(example_priority(frame), picture, caption)


def _draw_missed(image: Image.Image, box: np.ndarray, text: str, style: Style) -> None:
    """Draws a dashed box, `yxyx` in pixels, with a text inside its lower edge."""
    canvas = ImageDraw.Draw(image)
    y1, x1, y2, x2 = (round(float(each)) for each in box)
    for dash, color in ((0, (0, 0, 0)), (_DASH, _MISSED)):
        for x in range(x1 + dash, x2, 2 * _DASH):
            for y in (y1, y2):
                canvas.line((x, y, min(x + _DASH, x2), y), color, style.line + 1)
        for y in range(y1 + dash, y2, 2 * _DASH):
            for x in (x1, x2):
                canvas.line((x, y, x, min(y + _DASH, y2)), color, style.line + 1)
    left, top, right, bottom = canvas.textbbox((x1 + 2, y2), text, font=style.font, anchor="lb")
    canvas.rectangle((left - 2, top - 1, right + 2, bottom + 1), fill=(0, 0, 0))
    canvas.text((x1 + 2, y2), text, fill=_MISSED, font=style.font, anchor="lb")
