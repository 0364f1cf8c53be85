"""Settings of an evaluation: classes, IoU thresholds, and the kind of average precision."""

import dataclasses

DEFAULT_IOU = 0.5  # if the spec sets neither a threshold nor a range; default in TAO's user guide
RPN_RECALL_IOU = 0.5  # independent of the IoU thresholds, as in TAO (docs/evaluation.md)
_UNITS = 1_000_000  # thresholds have a resolution of 1e-6


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """Settings by which detections are judged.

    Attributes:
        class_names: Class names by index, without background.
        iou_thresholds: IoU thresholds, ascending; the overlap with an object that a detection must reach.
        score_threshold: Lowest score of detections that count (`object_confidence_thres`).
        voc07: Whether to use the 11-point AP of VOC 2007 instead of the area under the curve (VOC 2012).
        coco_matching: Whether to match by COCO's rule instead of PASCAL VOC's.
        shown_score: Lowest score of detections that a user sees (`bbox_visualize_threshold`).
    """

    class_names: tuple[str, ...]
    iou_thresholds: tuple[float, ...] = (DEFAULT_IOU,)
    score_threshold: float = 0.0
    voc07: bool = False
    coco_matching: bool = False
    shown_score: float = 0.6

    @property
    def metric(self) -> str:
        """`VOC07` or `VOC12`."""
        return "VOC07" if self.voc07 else "VOC12"


def iou_range(start: float, end: float, step: float) -> tuple[float, ...]:
    """Lists IoU thresholds `start`, `start + step`, ... below `end`, each rounded to 1e-6.

    Counts in integer millionths: in float32, 0.05 is 0.0500000007, and rounding errors of ten such steps
    would decide whether `end` is included.

    Args:
        start: First threshold.
        end: Upper limit, excluded.
        step: Difference between thresholds.

    Returns:
        Thresholds, ascending.
    """
    first, last, width = (round(value * _UNITS) for value in (start, end, step))
    return tuple(value / _UNITS for value in range(first, last, max(1, width)))


def iou_label(iou: float) -> str:
    """Formats an IoU threshold with two digits, such as `0.50`, or more if needed, such as `0.525`.

    Args:
        iou: IoU threshold.

    Returns:
        Label.
    """
    exact = f"{iou:.6f}".rstrip("0")
    return exact if len(exact) > len("0.50") else f"{iou:.2f}"
