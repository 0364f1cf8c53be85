"""Draws a contact sheet: images in rows and columns, with headings and a legend of classes."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from frcnn.console.foreign_text import printable
from frcnn.drawing.colors import class_color

# All sizes in px.
GAP = 8
LINE = 18
FONT = 14
SWATCH = 10
PAPER, INK = (255, 255, 255), (32, 32, 32)


def contact_sheet(
    rows: Sequence[Sequence[Image.Image]],
    headings: Sequence[str],
    class_names: Sequence[str],
    tile_width: int = 320,
) -> Image.Image:
    """Arranges rows of images on one sheet.

    Args:
        rows: Images; scaled down to `tile_width`, never up. Each row is as high as its highest image.
        headings: One heading per column.
        class_names: Class names for the legend at the bottom, in the order of the class colors.
        tile_width: Maximum width of an image, px.

    Returns:
        The sheet.
    """
    tiles = [[_scaled(picture, tile_width) for picture in row] for row in rows]
    column = max((tile.width for row in tiles for tile in row), default=tile_width)
    heights = [max(tile.height for tile in row) for row in tiles]
    width = GAP + len(headings) * (column + GAP)
    sheet = Image.new("RGB", (width, 2 * (LINE + GAP) + sum(heights) + GAP * len(rows)), PAPER)
    canvas, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT)
    for place, heading in enumerate(headings):
        canvas.text((GAP + place * (column + GAP), GAP // 2), heading, INK, font)
    top = LINE + GAP
    for row, height in zip(tiles, heights, strict=True):
        for place, tile in enumerate(row):
            sheet.paste(tile, (GAP + place * (column + GAP), top))
        top += height + GAP
    _draw_legend(canvas, font, class_names, top)
    return sheet


def _scaled(picture: Image.Image, width: int) -> Image.Image:
    if picture.width <= width:
        return picture
    height = max(1, round(picture.height * width / picture.width))
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _draw_legend(
    canvas: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    class_names: Sequence[str],
    top: int,
) -> None:
    left = GAP
    for index, name in enumerate(map(printable, class_names)):
        canvas.rectangle((left, top + 4, left + SWATCH, top + 4 + SWATCH), fill=class_color(index))
        canvas.text((left + SWATCH + 4, top), name, INK, font)
        left += round(canvas.textlength(name, font)) + SWATCH + 3 * GAP
