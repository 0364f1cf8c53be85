"""What an evaluation needs to know: the classes, the IoU thresholds and which average precision."""

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import EvaluationConfig, Experiment

DEFAULT_IOU = 0.5  # where the spec sets neither a threshold nor a range, as the user guide promises
RPN_RECALL_IOU = 0.5  # fixed, whatever the IoU setting is (tao-facts section 6)
_UNITS = 1_000_000  # thresholds are kept to 1e-6


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """How detections are judged.

    Attributes:
        class_names: In the order of the class indices, background not among them.
        iou_thresholds: Rising; a detection has to overlap an object this much to have found it.
        score_threshold: Detections below it do not count (`object_confidence_thres`).
        voc07: 11-point average precision of PASCAL VOC 2007, otherwise the area under the curve (VOC 2012).
        coco_matching: Detections are matched to objects by COCO's rule, otherwise by PASCAL VOC's.
    """

    class_names: tuple[str, ...]
    iou_thresholds: tuple[float, ...] = (DEFAULT_IOU,)
    score_threshold: float = 0.0
    voc07: bool = False
    coco_matching: bool = False

    @property
    def metric(self) -> str:
        """`VOC07` or `VOC12`."""
        return "VOC07" if self.voc07 else "VOC12"

    @classmethod
    def from_spec(cls, spec: "Experiment") -> "EvaluationSettings":
        """The settings in `evaluation_config` of a checked spec."""
        config = spec.evaluation_config
        return cls(
            class_names=tuple(spec.class_names),
            iou_thresholds=_iou_thresholds(config),
            score_threshold=config.object_confidence_thres,
            voc07=config.use_voc07_11point_metric,
            coco_matching=config.coco_matching,
        )


def iou_range(start: float, end: float, step: float) -> tuple[float, ...]:
    """`start`, `start + step`, ... below `end`, each rounded to 1e-6.

    Counted in whole millionths: the spec's float32 values make 0.05 into 0.0500000007, and ten such
    steps may or may not pass `end`, which is meant to be left out.
    """
    first, last, width = (round(value * _UNITS) for value in (start, end, step))
    return tuple(value / _UNITS for value in range(first, last, max(1, width)))


def iou_label(iou: float) -> str:
    """`0.50`, or with more digits where two would not tell: `0.525`."""
    exact = f"{iou:.6f}".rstrip("0")
    return exact if len(exact) > len("0.50") else f"{iou:.2f}"


def _iou_thresholds(config: "EvaluationConfig") -> tuple[float, ...]:
    wanted = config.gt_matching_iou_threshold_range
    if wanted is not None:
        return iou_range(wanted.start, wanted.end, wanted.step)
    return (round(config.gt_matching_iou_threshold or DEFAULT_IOU, 6),)
