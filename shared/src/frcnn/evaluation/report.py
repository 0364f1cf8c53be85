"""Result of an evaluation: metrics per IoU threshold and class, as a table, JSON or log entries."""

import dataclasses
import json
import math
from collections.abc import Sequence

from frcnn.console.foreign_text import printable
from frcnn.evaluation.average_precision import Curve
from frcnn.evaluation.settings import iou_label

_RULE, _CELL = 90, 20  # widths of the printed table, as in TAO


@dataclasses.dataclass(frozen=True)
class AtScore:
    """Counts and ratios of the detections that reach a score. A ratio without a denominator is `None`.

    Attributes:
        score: Lowest score that counts.
        found: Number of objects found (true positives).
        wrong: Number of wrong detections (false positives).
        objects: Number of labeled objects that are not difficult.
    """

    score: float
    found: int
    wrong: int
    objects: int

    @property
    def missed(self) -> int:
        """Number of objects that were not found."""
        return self.objects - self.found

    @property
    def precision(self) -> float | None:
        """Share of the detections that found an object."""
        return ratio(self.found, self.found + self.wrong)

    @property
    def recall(self) -> float | None:
        """Share of the objects that were found."""
        return ratio(self.found, self.objects)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        return ratio(2 * self.found, self.found + self.wrong + self.objects)

    def to_dict(self) -> dict[str, object]:
        """Returns all counts and ratios by name."""
        names = ("score", "found", "missed", "wrong", "precision", "recall", "f1")
        return {name: getattr(self, name) for name in names}


@dataclasses.dataclass(frozen=True)
class ClassResult:
    """Metrics of one class at one IoU threshold. A ratio without a denominator is `None`.

    Attributes:
        name: Class name.
        ap: Average precision; `None` if the data has no object of the class that is not difficult.
        precision: Precision over all detections, down to `object_confidence_thres`, as in TAO.
        recall: Recall over all detections, of the objects that are not difficult.
        rpn_recall: Share of objects, including difficult ones, that some RoI overlaps by 0.5 or more.
        objects: Number of labeled objects that are not difficult.
        difficult: Number of labeled objects that are difficult.
        true_positives: Number of detections that found an object.
        false_positives: Number of detections that did not. Detections of difficult objects are in neither.
        curve: Curve from which `ap` is computed; `None` if `ap` is.
        shown: Counts over the detections that a user sees (`bbox_visualize_threshold`).
        best_f1: Counts at the score with the highest F1; `None` without detections or objects.
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
    shown: AtScore = AtScore(0.0, 0, 0, 0)
    best_f1: AtScore | None = None

    def to_dict(self) -> dict[str, object]:
        """Returns all fields except the curve."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "curve"]
        return {name: _plain(getattr(self, name)) for name in names}


@dataclasses.dataclass(frozen=True)
class IoUResult:
    """Results of all classes at one IoU threshold.

    Attributes:
        iou: IoU threshold.
        classes: Results by class.
        curve: Curve over the detections of all classes together; `None` without objects.
    """

    iou: float
    classes: tuple[ClassResult, ...]
    curve: Curve | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def mean_ap(self) -> float | None:
        """Plain mean over the classes that have an AP; `None` if there is none."""
        return _mean([each.ap for each in self.classes])

    @property
    def shown(self) -> AtScore:
        """Counts of all classes together, over the detections that a user sees."""
        counts = [each.shown for each in self.classes]
        found, wrong, objects = (
            sum(getattr(each, name) for each in counts) for name in ("found", "wrong", "objects")
        )
        return AtScore(counts[0].score, found, wrong, objects)

    @property
    def best_f1(self) -> AtScore | None:
        """Counts of all classes together at the score with the highest F1."""
        return best_f1(self.curve)


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
                    "shown": each.shown.to_dict(),
                    "best_f1": _plain(each.best_f1),
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
        """Formats the table to print, in TAO's layout; `-` marks an undefined value.

        Unlike TAO's, precision and recall are those of the detections that a user sees.
        """
        lines = [line for each in self.results for line in _table_lines(each)]
        if len(self.results) > 1:
            first, last = self.results[0].iou, self.results[-1].iou
            lines.append(f"mAP@[{first:g}:{last:g}] = {_number(self.mean_ap)}")
        return "\n".join([*_summary_lines(self.results[0]), *lines])


def best_f1(curve: Curve | None) -> AtScore | None:
    """Finds the score with the highest F1; among equal ones, the highest score.

    Args:
        curve: Curve of a class, or of all classes; `None` without objects.

    Returns:
        Counts at this score; `None` if nothing was found.
    """
    if curve is None or not curve.found.any():
        return None
    at = int(curve.f1.argmax())
    found = int(curve.found[at])
    return AtScore(float(curve.scores[at]), found, int(curve.shown[at]) - found, curve.objects)


def _table_lines(result: IoUResult) -> list[str]:
    # Engines return no RoIs; the column is then omitted.
    with_rois = any(each.rpn_recall is not None for each in result.classes)
    header = ["Class", "AP", "precision", "recall"] + ["RPN_recall"] * with_rois
    lines = ["=" * _RULE, _row(header), "-" * _RULE]
    for each in result.classes:
        numbers = [each.ap, each.shown.precision, each.shown.recall] + [each.rpn_recall] * with_rois
        lines += [_row([printable(each.name), *map(_number, numbers)]), "-" * _RULE]
    return [*lines, f"mAP@{result.iou:g} = {_number(result.mean_ap)}"]


def _summary_lines(result: IoUResult) -> list[str]:
    """Describes the outcome for a user of the detector: objects found and missed, and wrong detections."""
    shown, best = result.shown, result.best_f1
    lines = [
        f"Precision and recall count detections with a score of at least {shown.score:.2f} "
        "(bbox_visualize_threshold).",
        f"At IoU {result.iou:g} they find {shown.found} of {shown.objects} objects and miss {shown.missed}; "
        f"{shown.wrong} of {shown.found + shown.wrong} detections are wrong.",
    ]
    if best is not None:
        lines.append(f"The best F1, {_number(best.f1)}, is at a score of {best.score:.2f}.")
    return lines


def _row(cells: Sequence[str]) -> str:
    return "".join(f"{cell:<{_CELL}}" for cell in cells).rstrip()


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def ratio(part: int, whole: int) -> float | None:
    """Returns part / whole; `None` if the whole is 0."""
    return part / whole if whole else None


def _plain(value: object) -> object:
    return value.to_dict() if isinstance(value, AtScore) else value


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
