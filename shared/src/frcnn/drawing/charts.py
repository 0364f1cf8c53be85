"""Computes ticks and lines of the charts that pages draw as SVG; `parts.html.jinja` has their macro."""

import math
from collections.abc import Sequence

Tick = tuple[str, float]

# Width and height of a chart's plane in units of its view box.
PLANE_WIDTH, PLANE_HEIGHT = 240, 150
# Ticks of an axis from 0 to 1, as shares of its length.
SHARES: tuple[Tick, ...] = (("0", 0.0), ("0.25", 0.25), ("0.5", 0.5), ("0.75", 0.75), ("1", 1.0))


def count_ticks(highest: float) -> list[Tick]:
    """Chooses round ticks for an axis that begins at 0, with at most four intervals.

    Args:
        highest: Value at the end of the axis, > 0.

    Returns:
        Ticks as tuples of label and share of the axis' length; the last one is at most 1.
    """
    step = next(step for step in _round_steps(highest) if highest / step <= 4)
    return [(f"{step * at:g}", step * at / highest) for at in range(int(highest / step + 1e-9) + 1)]


def polyline(points: Sequence[tuple[float, float]]) -> str:
    """Creates the SVG path of a line.

    Args:
        points: Tuples of x and y as shares of the plane, 0 to 1; y grows upwards.

    Returns:
        Path in units of the view box; empty without points.
    """
    corners = [f"{x * PLANE_WIDTH:.1f},{(1.0 - y) * PLANE_HEIGHT:.1f}" for x, y in points]
    return f"M{' L'.join(corners)}" if corners else ""


def _round_steps(highest: float) -> list[float]:
    """Lists 1, 2 and 5 times powers of ten up to `highest`, ascending."""
    top = math.ceil(math.log10(highest))
    return [factor * 10.0**power for power in range(top - 2, top + 1) for factor in (1, 2, 5)]
