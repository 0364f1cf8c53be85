"""Renders reports as single HTML files in one style: no script, no network, light and dark."""

import datetime
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import frcnn
from frcnn.console.foreign_text import printable
from frcnn.drawing.charts import PLANE_HEIGHT, PLANE_WIDTH, SHARES
from frcnn.files import write_text

_SHARED = "frcnn.drawing"


def save_page(
    path: Path,
    package: str,
    template: str,
    content: Mapping[str, Any],
    filters: Mapping[str, Callable[..., str]] | None = None,
) -> None:
    """Writes a page whose template extends `frame.html.jinja`.

    The frame brings the style, and uses `version` and `date`, which this function adds.

    Args:
        path: File to write.
        package: Package with the template, in its folder `templates`.
        template: Name of the template. It can import the macros of `parts.html.jinja`.
        content: Variables of the template.
        filters: Filters of the template by name, in addition to `number` and `change`.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def load(name: str) -> str | None:
        for each in (package, _SHARED):
            source = files(each).joinpath("templates", name)
            if source.is_file():
                return source.read_text("utf-8")
        return None

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(load),
    )
    environment.filters.update({"number": number, "change": change, **(filters or {})})
    environment.globals.update(plane=(PLANE_WIDTH, PLANE_HEIGHT), shares=SHARES)
    # Names come from labels and files, so control characters must be escaped.
    environment.finalize = lambda value: printable(value, None) if type(value) is str else value
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = environment.get_template(template).render({**content, "version": frcnn.__version__, "date": date})
    write_text(path, text)


def number(value: float | None, digits: int = 3) -> str:
    """Formats a number; a dash if it is unknown.

    Args:
        value: Number, or `None`.
        digits: Digits after the point.
    """
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}"


def change(value: float | None, before: float | None) -> str:
    """Formats a difference as `+0.012`; empty if either value is unknown.

    Args:
        value: New value, or `None`.
        before: Old value, or `None`.
    """
    return "" if value is None or before is None else f"{value - before:+.3f}".replace("-", "\N{MINUS SIGN}")
