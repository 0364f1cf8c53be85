"""Draws the compiled pipeline for the docs: `python -m pipelines.picture`.

Each part behind a gate is a row with its steps from left to right. The gate labels the arrow to the next row.
"""

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import yaml

from frcnn.files import write_text
from pipelines.compile import COMPILED

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "pipeline.svg"
_BOX_WIDTH, _BOX_HEIGHT, _GAP, _ROW, _MARGIN = 150, 44, 46, 106, 20
_STYLE = (
    "text{font:14px sans-serif;fill:#1b1f24;text-anchor:middle}.gate{font-style:italic;text-anchor:start}"
    "rect{fill:#eef4fb;stroke:#31618f;rx:6}.handler{fill:#f6f1e4;stroke:#8f7431}"
    "path{stroke:#31618f;fill:none;marker-end:url(#a)}svg{background:#fff}"
)


@dataclasses.dataclass(frozen=True)
class Row:
    """Steps that run one after the other behind a gate.

    Attributes:
        gate: Name of the gate; empty for the first row.
        steps: Names of the steps.
    """

    gate: str
    steps: tuple[str, ...]


def rows(spec: Mapping[str, Any]) -> list[Row]:
    """Returns the rows of a compiled pipeline.

    Args:
        spec: Compiled pipeline.

    Returns:
        Rows in order; the last one contains the exit handler.
    """
    root = spec["root"]["dag"]["tasks"]
    handlers = [task for task in root.values() if "strategy" in task.get("triggerPolicy", {})]
    found = list(_rows(spec, root, ""))
    names = {task["taskInfo"]["name"] for task in handlers}
    kept = [Row(row.gate, tuple(step for step in row.steps if step not in names)) for row in found]
    return [*(row for row in kept if row.steps), Row("however it ends", tuple(sorted(names)))]


def _rows(spec: Mapping[str, Any], tasks: Mapping[str, Any], gate: str) -> Iterator[Row]:
    steps, inner = [], []
    for key in _in_order(tasks):
        task = tasks[key]
        component = spec["components"][task["componentRef"]["name"]]
        if "dag" in component:
            condition = "condition" in task.get("triggerPolicy", {})
            inner.append((component["dag"]["tasks"], task["taskInfo"]["name"] if condition else gate))
        else:
            steps.append(task["taskInfo"]["name"])
    if steps:
        yield Row(gate, tuple(steps))
    for nested, opens in inner:
        yield from _rows(spec, nested, opens)


def _in_order(tasks: Mapping[str, Any]) -> list[str]:
    """Sorts tasks so that each one follows its dependencies."""
    done: list[str] = []
    while len(done) < len(tasks):
        done += [
            key
            for key, task in tasks.items()
            if key not in done and set(task.get("dependentTasks", ())) <= set(done)
        ]
    return done


def svg(found: list[Row]) -> str:
    """Draws the diagram.

    Args:
        found: Rows of the pipeline.

    Returns:
        SVG text.
    """
    widest = max(len(row.steps) for row in found)
    width = 2 * _MARGIN + widest * _BOX_WIDTH + (widest - 1) * _GAP
    height = 2 * _MARGIN + len(found) * _ROW - (_ROW - _BOX_HEIGHT)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(_sentence(found))}</title><style>{_STYLE}</style>",
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#31618f;marker-end:none"/></marker></defs>',
    ]
    for number, row in enumerate(found):
        parts += _drawn(
            row, number, 0 if number == 0 else len(found[number - 1].steps), number + 1 == len(found)
        )
    return "\n".join([*parts, "</svg>", ""])


def _drawn(row: Row, number: int, steps_above: int, handler: bool) -> Iterator[str]:
    top = _MARGIN + number * _ROW
    middle = top + _BOX_HEIGHT // 2
    if number:
        start = _left(0 if handler else steps_above - 1) + _BOX_WIDTH // 2
        end, above = _left(0) + _BOX_WIDTH // 2, top - (_ROW - _BOX_HEIGHT)
        turn = (above + top) // 2 - 4
        if not handler:
            yield f'<path d="M{start} {above}V{turn}H{end}V{top}"/>'
        yield f'<text class="gate" x="{end + 12}" y="{turn + 18}">{escape(row.gate.replace("-", " "))}</text>'
    for at, step in enumerate(row.steps):
        left = _left(at)
        if at:
            yield f'<path d="M{left - _GAP} {middle}H{left}"/>'
        kind = ' class="handler"' if handler else ""
        yield f'<rect{kind} x="{left}" y="{top}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}"/>'
        yield f'<text x="{left + _BOX_WIDTH // 2}" y="{middle + 5}">{escape(step)}</text>'


def _left(at: int) -> int:
    return _MARGIN + at * (_BOX_WIDTH + _GAP)


def _sentence(found: list[Row]) -> str:
    """Describes the diagram in words, as its accessible title."""
    return "; ".join(
        f"{f'if {row.gate}: ' if row.gate else ''}{', '.join(row.steps)}".replace("-", " ") for row in found
    )


def current() -> str:
    """Returns the diagram of the checked-in pipeline as SVG text."""
    with (COMPILED / "faster_rcnn.yaml").open(encoding="utf-8") as file:
        spec = next(yaml.safe_load_all(file))
    return svg(rows(spec))


if __name__ == "__main__":
    write_text(PICTURE, current())
    sys.stdout.write(f"{PICTURE}\n")
