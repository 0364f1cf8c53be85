"""Writes an evaluation as one self-contained HTML file."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.drawing.charts import PLANE_HEIGHT, PLANE_WIDTH, count_ticks, polyline
from frcnn.drawing.colors import class_color
from frcnn.drawing.page import save_page
from frcnn.errors import UsageError
from frcnn.evaluation.average_precision import Curve
from frcnn.evaluation.error_analysis import BINS, ErrorAnalysis
from frcnn.evaluation.object_sizes import SIZES
from frcnn.evaluation.report import AtScore, ClassResult, Report
from frcnn.evaluation.settings import EvaluationSettings, iou_label
from frcnn.evaluation.training_curves import training_panels
from frcnn.limits import read_json
from frcnn.regular_file import reading_fault

TEMPLATE = "report.html.jinja"
_CURVE_POINTS = 200
# Largest number of classes with charts: a page with more is unreadable.
MAX_PANELS = 100


@dataclasses.dataclass(frozen=True)
class Subject:
    """Names of the evaluated model and data.

    Attributes:
        model: Architecture of the model.
        data: Name of the data.
        former: Name of the model to compare with; empty if there is none.
        path: Path of the model; empty if it has none.
        training_log: Path of the `training_log.csv` of the model's training, or `None`.
    """

    model: str
    data: str
    former: str = ""
    path: str = ""
    training_log: Path | None = None


def error_analysis_for(settings: EvaluationSettings, images: ImageSettings) -> ErrorAnalysis:
    """Creates an error analysis of images as the network gets them.

    Args:
        settings: Settings of the evaluation.
        images: Input format of the network.

    Returns:
        Error analysis without images.
    """
    return ErrorAnalysis(
        settings,
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
        reason = reading_fault(error) if isinstance(error, OSError) else error
        raise UsageError(f"{path}: not a readable metrics.json ({reason})") from error
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
    save_page(path, "frcnn.evaluation", TEMPLATE, content)


def _content(
    report: Report, inspection: ErrorAnalysis, subject: Subject, former: Mapping[str, Any] | None
) -> dict[str, Any]:
    first = report.results[0]
    label = iou_label(first.iou)
    before = _classes_of(former, label)
    with_charts = set(_most_objects(first.classes))
    return {
        "subject": subject,
        "report": report,
        "iou": label,
        "range": [(iou_label(each.iou), each.mean_ap) for each in report.results],
        "former": former,
        "shown": first.shown,
        "best": first.best_f1,
        "scores": _score_chart(first.curve, first.shown, first.best_f1),
        "training": training_panels(subject.training_log),
        "classes": [
            {
                "result": each,
                "former": before.get(each.name, {}),
                "color": "rgb({},{},{})".format(*class_color(index)),
                "sizes": inspection.by_size.results(index),
                "charts": index in with_charts,
                "curve": curve_path(each.curve, report.metric) if each.curve else "",
                "bars": _bars(inspection.right[index], inspection.wrong[index]),
                "ticks": count_ticks(_highest(inspection.right[index], inspection.wrong[index])),
                "histogram": _histogram_rows(inspection.right[index], inspection.wrong[index]),
            }
            for index, each in enumerate(first.classes)
        ],
        "sizes": list(SIZES),
        "panels": len(with_charts),
        "confusion": _confusion(inspection, [each.name for each in first.classes]),
        "false_alarms": list(inspection.false_alarms),
        "misses": list(inspection.misses),
        "examples": list(inspection.examples),
    }


def _most_objects(classes: Sequence[ClassResult]) -> list[int]:
    """Returns the indices of the `MAX_PANELS` classes with the most objects, which get charts."""
    order = sorted(range(len(classes)), key=lambda index: (-classes[index].objects, index))
    return order[:MAX_PANELS]


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
    kept = _thinned(len(recall))
    points = list(zip(recall[kept].tolist(), precision[kept].tolist(), strict=True))
    return polyline([*points, (float(recall[-1]), 0.0)])


def _thinned(points: int) -> np.ndarray:
    """Returns indices of evenly spaced points: more would enlarge the file without a visible difference."""
    return np.unique(np.linspace(0, points - 1, min(points, _CURVE_POINTS)).astype(int))


def _score_chart(curve: Curve | None, shown: AtScore, best: AtScore | None) -> dict[str, Any] | None:
    """Draws precision, recall and F1 over the score threshold; `None` without detections or objects."""
    if curve is None or best is None:
        return None
    # A threshold between two scores counts the same detections as the higher one: the lines are steps.
    kept = _thinned(len(curve.scores))
    lines = {
        name: polyline(_steps(curve.scores[kept], values[kept]))
        for name, values in (("f1", curve.f1), ("precision", curve.precision), ("recall", curve.recall))
    }
    marks = {"shown": PLANE_WIDTH * shown.score, "best": PLANE_WIDTH * best.score}
    dot = (PLANE_WIDTH * best.score, PLANE_HEIGHT * (1.0 - (best.f1 or 0.0)))
    return {"lines": lines, "marks": marks, "dot": dot}


def _steps(scores: np.ndarray, values: np.ndarray) -> list[tuple[float, float]]:
    """Lists the corners of a line that has `values[i]` for thresholds from `scores[i + 1]` to `scores[i]`."""
    points = []
    lows = [*scores[1:].tolist(), 0.0]
    for high, low, value in zip(scores.tolist(), lows, values.tolist(), strict=True):
        points += [(high, value), (low, value)]
    return points


def _highest(right: np.ndarray, wrong: np.ndarray) -> int:
    return max(1, int((right + wrong).max()))


def _bars(right: np.ndarray, wrong: np.ndarray) -> list[dict[str, float]]:
    """Returns two stacked bars per bin: correct detections, and wrong ones above them."""
    scale, width = PLANE_HEIGHT / _highest(right, wrong), PLANE_WIDTH / BINS
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
