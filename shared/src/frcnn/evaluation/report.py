"""Result of an evaluation: metrics per IoU threshold and class, as a table, JSON or log entries."""

import dataclasses
import json
import math
from collections.abc import Sequence

import numpy as np

from frcnn.console.foreign_text import printable
from frcnn.evaluation.accumulate import EvaluationState, judged, rows_by_class
from frcnn.evaluation.average_precision import (
    Curve,
    average_precision_voc07,
    average_precision_voc12,
    trace_curve,
)
from frcnn.evaluation.matching import TRUE_POSITIVE
from frcnn.evaluation.settings import EvaluationSettings, iou_label

_RULE, _CELL = 90, 20  # widths of the printed table, as in TAO


@dataclasses.dataclass(frozen=True)
class ClassResult:
    """Metrics of one class at one IoU threshold. A ratio without a denominator is `None`.

    Attributes:
        name: Class name.
        ap: Average precision; `None` if the data has no object of the class that is not difficult.
        precision: Precision at the score threshold.
        recall: Recall at the score threshold, over the objects that are not difficult.
        rpn_recall: Share of objects, including difficult ones, that some RoI overlaps by 0.5 or more.
        objects: Number of labeled objects that are not difficult.
        difficult: Number of labeled objects that are difficult.
        true_positives: Number of detections that found an object.
        false_positives: Number of detections that did not. Detections of difficult objects are in neither.
        curve: Curve from which `ap` is computed; `None` if `ap` is.
    """

    name: str
    ap: float | None
    precision: float | None
    recall: float | None
    rpn_recall: float | None
    objects: int
    difficult: int
    true_positives: int
    false_positives: int
    curve: Curve | None = dataclasses.field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, object]:
        """Returns all fields except the curve."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "curve"]
        return {name: getattr(self, name) for name in names}


@dataclasses.dataclass(frozen=True)
class IoUResult:
    """Results of all classes at one IoU threshold."""

    iou: float
    classes: tuple[ClassResult, ...]

    @property
    def mean_ap(self) -> float | None:
        """Plain mean over the classes that have an AP; `None` if there is none."""
        return _mean([each.ap for each in self.classes])


@dataclasses.dataclass(frozen=True)
class Report:
    """Result of an evaluation, with one entry per IoU threshold.

    Attributes:
        results: Results by IoU threshold.
        metric: `VOC07` or `VOC12`.
        score_threshold: Lowest score of detections that count.
        images: Number of images.
    """

    results: tuple[IoUResult, ...]
    metric: str
    score_threshold: float
    images: int

    @property
    def mean_ap(self) -> float | None:
        """Mean over the IoU thresholds; `None` if no class has objects."""
        return _mean([each.mean_ap for each in self.results])

    def to_dict(self) -> dict[str, object]:
        """Returns the content of `metrics.json`, where `None` becomes null."""
        return {
            "mAP": self.mean_ap,
            "metric": self.metric,
            "object_confidence_thres": self.score_threshold,
            "images": self.images,
            "iou": {
                iou_label(each.iou): {
                    "mAP": each.mean_ap,
                    "classes": {one.name: one.to_dict() for one in each.classes},
                }
                for each in self.results
            },
        }

    def to_json(self) -> str:
        """Returns `to_dict` as indented JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def logs(self) -> dict[str, float]:
        """Returns `mAP@0.50` for each IoU threshold and the overall `mAP`.

        For the training log; undefined values are NaN.
        """
        means = {f"mAP@{iou_label(each.iou)}": each.mean_ap for each in self.results} | {"mAP": self.mean_ap}
        return {name: math.nan if mean is None else mean for name, mean in means.items()}

    def table(self) -> str:
        """Formats the table to print, in TAO's layout; `-` marks an undefined value."""
        lines = [line for each in self.results for line in _table_lines(each)]
        if len(self.results) > 1:
            first, last = self.results[0].iou, self.results[-1].iou
            lines.append(f"mAP@[{first:g}:{last:g}] = {_number(self.mean_ap)}")
        return "\n".join(lines)


def build_report(tally: EvaluationState, settings: EvaluationSettings) -> Report:
    """Computes the metrics of an evaluation.

    Args:
        tally: State of the evaluation.
        settings: Settings of the evaluation.

    Returns:
        Metrics by IoU threshold and class.
    """
    rows = rows_by_class(tally, len(settings.class_names))
    results = tuple(
        IoUResult(
            iou,
            tuple(_class_result(tally, settings, index, of_class, at) for index, of_class in enumerate(rows)),
        )
        for at, iou in enumerate(settings.iou_thresholds)
    )
    return Report(results, settings.metric, settings.score_threshold, tally.images)


def _class_result(
    tally: EvaluationState, settings: EvaluationSettings, index: int, rows: np.ndarray, at: int
) -> ClassResult:
    scores, outcomes = judged(tally, rows, at)
    objects, difficult = int(tally.objects[index]), int(tally.difficult[index])
    right = int((outcomes == TRUE_POSITIVE).sum())
    curve, ap = None, None
    if objects:
        curve = trace_curve(scores, outcomes == TRUE_POSITIVE, objects)
        ap = average_precision_voc07(curve) if settings.voc07 else average_precision_voc12(curve)
    # RPN recall is defined over all images, so it is unknown if some have no RoIs.
    rois_known = tally.images_with_rois == tally.images
    return ClassResult(
        name=settings.class_names[index],
        ap=ap,
        precision=_ratio(right, len(outcomes)),
        recall=_ratio(right, objects),
        rpn_recall=_ratio(int(tally.proposed[index]), objects + difficult) if rois_known else None,
        objects=objects,
        difficult=difficult,
        true_positives=right,
        false_positives=len(outcomes) - right,
        curve=curve,
    )


def _table_lines(result: IoUResult) -> list[str]:
    # Engines return no RoIs; the column is then omitted.
    with_rois = any(each.rpn_recall is not None for each in result.classes)
    header = ["Class", "AP", "precision", "recall"] + ["RPN_recall"] * with_rois
    lines = ["=" * _RULE, _row(header), "-" * _RULE]
    for each in result.classes:
        numbers = [each.ap, each.precision, each.recall] + [each.rpn_recall] * with_rois
        lines += [_row([printable(each.name), *map(_number, numbers)]), "-" * _RULE]
    return [*lines, f"mAP@{result.iou:g} = {_number(result.mean_ap)}"]


def _row(cells: Sequence[str]) -> str:
    return "".join(f"{cell:<{_CELL}}" for cell in cells).rstrip()


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
