"""The faults a box can have, the same for every label format."""

from frcnn.data.conversion.faults import FaultKind

# Numbers from here on turn into infinity as float32, which is what records hold.
TOO_LARGE = 3.0e38


def box_fault(
    x1: float, y1: float, x2: float, y2: float, height: int, width: int
) -> tuple[FaultKind, str] | None:
    """Kind and reason why a box (pixels) in an image of this size is unusable; None when it is fine.

    As in the reference converter, a side counts in whole pixels: `int(x1) < int(x2)`. A box that
    reaches over the border stays as it is, the loader clips it; one with nothing inside goes.
    """
    if not (int(x1) < int(x2) and int(y1) < int(y2)):
        return FaultKind.ZERO_AREA, f"x {x1:g} to {x2:g}, y {y1:g} to {y2:g}"
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        return FaultKind.OUTSIDE, f"x {x1:g} to {x2:g}, y {y1:g} to {y2:g} in {width}x{height}"
    return None
