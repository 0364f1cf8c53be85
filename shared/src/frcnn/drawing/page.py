"""Renders self-contained HTML pages: no script, no network, light and dark, readable on a phone.

A page's own template extends `page.html.jinja`, which has the frame and the styles, and imports
`parts.html.jinja`, which has charts, galleries and tables.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from frcnn.console.foreign_text import printable

Tick = tuple[str, float]

# Width and height of a chart's plane in units of its view box.
PLANE_WIDTH, PLANE_HEIGHT = 240, 150
# Ticks of an axis from 0 to 1, as shares of its length.
SHARES: tuple[Tick, ...] = (("0", 0.0), ("0.25", 0.25), ("0.5", 0.5), ("0.75", 0.75), ("1", 1.0))


def render_page(package: str, template: str, content: Mapping[str, Any]) -> str:
    """Renders a page.

    Args:
        package: Package whose folder `templates` has the page's template.
        template: Name of the template; it extends `page.html.jinja`.
        content: Variables of the template. Texts are escaped, control characters included.

    Returns:
        The page as HTML.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    import frcnn

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("frcnn.drawing")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Names come from labels and files, so control characters must be escaped.
        finalize=lambda value: printable(value, None) if type(value) is str else value,
    )
    environment.filters.update(number=format_number, change=format_change)
    environment.globals.update(version=frcnn.__version__, plane=(PLANE_WIDTH, PLANE_HEIGHT), shares=SHARES)
    return environment.get_template(template).render(content)


def format_number(value: float | None, digits: int = 3) -> str:
    """Formats a number.

    Args:
        value: Number; None if it is undefined.
        digits: Number of digits after the point.

    Returns:
        Text; a dash for None.
    """
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}"


def format_change(value: float | None, before: float | None) -> str:
    """Formats a difference as `+0.012`.

    Args:
        value: New value.
        before: Old value.

    Returns:
        Text; empty if either value is unknown.
    """
    return "" if value is None or before is None else f"{value - before:+.3f}".replace("-", "\N{MINUS SIGN}")


def count_ticks(highest: float, most: int = 4) -> list[Tick]:
    """Chooses round ticks for an axis that begins at 0.

    Args:
        highest: Value at the end of the axis, > 0.
        most: Largest number of intervals.

    Returns:
        Ticks as tuples of label and share of the axis' length; the last one is at most 1.
    """
    step = next(step for step in _round_steps(highest) if highest / step <= most)
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
