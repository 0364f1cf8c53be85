"""Draws the curves of a training from its `training_log.csv`."""

import csv
import io
import logging
import math
from pathlib import Path
from typing import Any

from frcnn.drawing.charts import SHARES, Tick, count_ticks, polyline

FILE_NAME = "training_log.csv"
# A log with more rows was not written by a training of ours, or is unreadable as a chart.
_MAX_BYTES = 16 << 20
_HEADROOM = 1.05

log = logging.getLogger(__name__)


def training_panels(path: Path | None) -> list[dict[str, Any]]:
    """Draws loss and mAP over the epochs.

    Args:
        path: `training_log.csv`, or `None`.

    Returns:
        Charts with name, path of the line, ticks and last value; empty if there is no readable log.
    """
    columns = _read(path)
    epochs = columns.get("epoch", [])
    if len(epochs) < 2:
        return []
    last = max(epochs)
    panels = []
    for name, title in (("loss", "training loss"), ("mAP", "validation mAP")):
        pairs = zip(epochs, columns.get(name, []), strict=False)
        points = [(epoch, value) for epoch, value in pairs if math.isfinite(value)]
        if points:
            panels.append(_panel(title, points, last, share=name == "mAP"))
    return panels


def _panel(title: str, points: list[tuple[float, float]], last: float, *, share: bool) -> dict[str, Any]:
    highest = 1.0 if share else (max(value for _, value in points) or 1.0) * _HEADROOM
    ticks: list[Tick] = list(SHARES) if share else count_ticks(highest)
    line = polyline([(epoch / last, max(0.0, value) / highest) for epoch, value in points])
    end, best = points[-1], max(points, key=lambda point: point[1])
    text = f"{end[1]:.3f} after epoch {end[0]:g}"
    if share:
        text += f"; best {best[1]:.3f} after epoch {best[0]:g}"
    return {"title": title, "line": line, "x_ticks": count_ticks(last), "y_ticks": ticks, "text": text}


def _read(path: Path | None) -> dict[str, list[float]]:
    """Reads the columns of the log. Cells without a number are NaN."""
    if path is None or not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(io.StringIO(file.read(_MAX_BYTES))))
    except (OSError, ValueError, csv.Error) as error:
        log.warning("Could not read %s; the report has no training curves: %s", path, error)
        return {}
    names = rows[0] if rows else {}
    return {name: [_value(row.get(name)) for row in rows] for name in names if name}


def _value(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
