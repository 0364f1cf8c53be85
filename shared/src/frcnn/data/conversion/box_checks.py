"""Checks of boxes that apply to every label format."""

from collections.abc import Iterable

from frcnn.data.conversion.faults import IssueKind
from frcnn.data.records.annotations import Label

# A box of which a larger share is outside of its image was probably meant in another way.
MOST_OUTSIDE = 0.25
# Records store float32, in which numbers above about 3.4e38 become infinity.
TOO_LARGE = 3.0e38


def parse_number(text: str) -> float:
    """Parses a number of a label file.

    Args:
        text: One field.

    Returns:
        The number.

    Raises:
        ValueError: `text` is not a number. Unlike in Python, `1_0` is not one: it is a typing error.
    """
    if "_" in text:
        raise ValueError(f"{text} is not a number")
    return float(text)


def parse_whole(text: str) -> int:
    """Parses a whole number of a label file; `1.0` is one, since NumPy and pandas write class numbers so.

    Args:
        text: One field.

    Returns:
        The number.

    Raises:
        ValueError: `text` is not a whole number.
    """
    value = parse_number(text)
    if not value.is_integer():
        raise ValueError(f"{text} is not a whole number")
    return int(value)


def any_outside(labels: Iterable[Label], height: int, width: int) -> bool:
    """Checks whether more than `MOST_OUTSIDE` of any box is outside of the image.

    Args:
        labels: Labels with usable boxes.
        height: Height of the image, px.
        width: Width of the image, px.
    """
    for label in labels:
        x1, y1, x2, y2 = label.x1, label.y1, label.x2, label.y2
        if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
            inside = (min(x2, width) - max(x1, 0)) * (min(y2, height) - max(y1, 0))
            if inside < (1.0 - MOST_OUTSIDE) * (x2 - x1) * (y2 - y1):
                return True
    return False


def box_fault(
    x1: float, y1: float, x2: float, y2: float, height: int, width: int
) -> tuple[IssueKind, str] | None:
    """Checks whether a box is usable.

    As in TAO, sides are compared in whole pixels: `int(x1) < int(x2)`. Boxes that extend beyond the image
    are usable, since the loader clips them; boxes completely outside are not.

    Args:
        x1: Left edge, px.
        y1: Top edge, px.
        x2: Right edge, px.
        y2: Bottom edge, px.
        height: Height of the image, px.
        width: Width of the image, px.

    Returns:
        Kind of issue and reason, or `None` if the box is usable.
    """
    if not (int(x1) < int(x2) and int(y1) < int(y2)):
        return IssueKind.ZERO_AREA, f"x {x1:g} to {x2:g}, y {y1:g} to {y2:g}"
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        return IssueKind.OUTSIDE, f"x {x1:g} to {x2:g}, y {y1:g} to {y2:g} in {width}x{height}"
    return None
