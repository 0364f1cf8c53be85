"""Writes an evaluation as one self-contained HTML file: no script, no network, light and dark."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.drawing.colors import class_color
from frcnn.drawing.page import save_page
from frcnn.errors import UsageError
from frcnn.evaluation.average_precision import Curve
from frcnn.evaluation.inspection import BINS, SIZES, ErrorAnalysis
from frcnn.evaluation.report import ClassResult, Report
from frcnn.evaluation.settings import EvaluationSettings, iou_label
from frcnn.limits import read_json

TEMPLATE = "report.html.jinja"
# Width and height of a chart's plane in units of its view box.
PLANE_WIDTH, PLANE_HEIGHT = 240, 150
_CURVE_POINTS = 200
# Largest number of classes with charts: a page with more is unreadable.
MOST_PANELS = 100


@dataclasses.dataclass(frozen=True)
class Subject:
    """Names of the evaluated model and data.

    Attributes:
        model: Name of the model.
        data: Name of the data.
        former: Name of the model to compare with; empty if there is none.
    """

    model: str
    data: str
    former: str = ""


def error_analysis_for(
    settings: EvaluationSettings, images: ImageSettings, shown_score: float
) -> ErrorAnalysis:
    """Creates an error analysis, with detections as inference would show them.

    Args:
        settings: Settings of the evaluation.
        images: Input format of the network.
        shown_score: Lowest score of detections that inference shows, 0 to 1.

    Returns:
        Error analysis without images.
    """
    return ErrorAnalysis(
        settings,
        shown_score=shown_score,
        # In the channel order of the network; pixels are converted to RGB afterwards.
        mean=np.asarray(images.mean, np.float32),
        scale=images.scale,
        bgr=images.order == "bgr",
    )


def read_metrics(path: Path) -> Mapping[str, Any]:
    """Reads the `metrics.json` of an evaluation.

    Args:
        path: File.

    Returns:
        Content of the file.

    Raises:
        UsageError: The file is missing, broken, or something else.
    """
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not a readable metrics.json ({error})") from error
    if not isinstance(found, dict) or not {"mAP", "iou"} <= set(found):
        raise UsageError(f"{path} has no mAP or iou. Expected a metrics.json written by frcnn evaluate.")
    return found


def save_html(
    path: Path,
    report: Report,
    inspection: ErrorAnalysis,
    subject: Subject,
    former: Mapping[str, Any] | None = None,
) -> None:
    """Writes the report of an evaluation.

    Args:
        path: File to write.
        report: Metrics.
        inspection: Error analysis of the same images.
        subject: Names of the evaluated model and data.
        former: Parsed `metrics.json` of the model to compare with, or `None`.
    """
    content = _content(report, inspection, subject, former)
    save_page(path, "frcnn.evaluation", TEMPLATE, content, {"change": _change})


def _content(
    report: Report, inspection: ErrorAnalysis, subject: Subject, former: Mapping[str, Any] | None
) -> dict[str, Any]:
    first = report.results[0]
    label = iou_label(first.iou)
    before = _classes_of(former, label)
    shown = set(_most_objects(first.classes))
    return {
        "subject": subject,
        "report": report,
        "iou": label,
        "range": [(iou_label(each.iou), each.mean_ap) for each in report.results],
        "former": former,
        "headline": {
            "right": inspection.confused.right,
            "wrong": inspection.confused.wrong,
            "missed": inspection.confused.missed,
            "shown": inspection.shown_score,
        },
        "classes": [
            {
                "result": each,
                "former": before.get(each.name, {}),
                "color": "rgb({},{},{})".format(*class_color(index)),
                "sizes": inspection.size_results(index),
                "shown": index in shown,
                "curve": curve_path(each.curve, report.metric) if each.curve else "",
                "bars": _bars(inspection.right[index], inspection.wrong[index]),
                "histogram": _histogram_rows(inspection.right[index], inspection.wrong[index]),
            }
            for index, each in enumerate(first.classes)
        ],
        "sizes": list(SIZES),
        "panels": len(shown),
        "confusion": _confusion(inspection, [each.name for each in first.classes]),
        "false_alarms": list(inspection.false_alarms),
        "misses": list(inspection.misses),
        "plane": (PLANE_WIDTH, PLANE_HEIGHT),
    }


def _most_objects(classes: Sequence[ClassResult]) -> list[int]:
    """Returns the indices of the `MOST_PANELS` classes with the most objects, which get charts."""
    order = sorted(range(len(classes)), key=lambda index: (-classes[index].objects, index))
    return order[:MOST_PANELS]


def curve_path(curve: Curve, metric: str) -> str:
    """Creates the SVG path of precision over recall.

    Args:
        curve: Curve of a class.
        metric: `VOC12` draws the envelope, whose area is the AP; `VOC07` the curve itself.

    Returns:
        Path in units of the view box; empty without detections.
    """
    if not len(curve.shown):
        return ""
    heights = curve.envelope if metric == "VOC12" else curve.precision
    recall = np.concatenate([[0.0], curve.recall])
    precision = np.concatenate([heights[:1], heights])
    # More points would enlarge the file without a visible difference.
    kept = np.unique(np.linspace(0, len(recall) - 1, _CURVE_POINTS).astype(int))
    points = [
        f"{x * PLANE_WIDTH:.1f},{(1.0 - y) * PLANE_HEIGHT:.1f}"
        for x, y in zip(recall[kept], precision[kept], strict=True)
    ]
    fall = f"{recall[-1] * PLANE_WIDTH:.1f},{PLANE_HEIGHT}"
    return f"M{' L'.join([*points, fall])}"


def _bars(right: np.ndarray, wrong: np.ndarray) -> list[dict[str, float]]:
    """Returns two stacked bars per bin: correct detections, and wrong ones above them."""
    highest = max(1, int((right + wrong).max()))
    scale, width = PLANE_HEIGHT / highest, PLANE_WIDTH / BINS
    return [
        {
            "x": at * width,
            "width": width - 1.0,
            "right_top": PLANE_HEIGHT - good * scale,
            "right": good * scale,
            "wrong_top": PLANE_HEIGHT - (good + bad) * scale,
            "wrong": bad * scale,
        }
        for at, (good, bad) in enumerate(zip(right.tolist(), wrong.tolist(), strict=True))
    ]


def _histogram_rows(right: np.ndarray, wrong: np.ndarray) -> list[tuple[str, int, int]]:
    return [
        (f"{at / BINS:.2f} to {(at + 1) / BINS:.2f}", good, bad)
        for at, (good, bad) in enumerate(zip(right.tolist(), wrong.tolist(), strict=True))
        if good or bad
    ]


def _confusion(inspection: ErrorAnalysis, names: Sequence[str]) -> dict[str, Any]:
    table = inspection.confused.table(names)
    counts, names = table.matrix, table.names
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = counts / totals
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "cells": [
                # Opacity of the cell's color, 0 to 0.55.
                {"count": int(count), "share": float(share), "shade": round(float(share) * 0.55, 3)}
                for count, share in zip(counts[at], shares[at], strict=True)
            ],
        }
        for at, name in enumerate([*names, "nothing (false alarm)"])
    ]
    rows[-1]["cells"][-1] = None  # true negatives are not counted
    return {"columns": [*names, "nothing (miss)"], "rows": rows}


def _classes_of(former: Mapping[str, Any] | None, label: str) -> Mapping[str, Any]:
    if former is None:
        return {}
    found = former.get("iou", {}).get(label, {}).get("classes", {})
    return found if isinstance(found, Mapping) else {}


def _change(value: float | None, before: float | None) -> str:
    """Formats a difference as `+0.012`; empty if either value is unknown."""
    return "" if value is None or before is None else f"{value - before:+.3f}".replace("-", "\N{MINUS SIGN}")
