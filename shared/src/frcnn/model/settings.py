"""What the detector needs to know beside its layers: plain, frozen, JSON-able values."""

import dataclasses
from typing import Any, Self

# In files of earlier versions. What they were trained towards was never scaled, so nothing is lost.
_FORMER = ("std_scaling",)


class _Jsonable:
    """`to_config` and `from_config` of a dataclass of numbers, strings, tuples and such dataclasses."""

    def to_config(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        known = {key: value for key, value in config.items() if key not in _FORMER}
        return cls(
            **{key: tuple(value) if isinstance(value, list) else value for key, value in known.items()}
        )


@dataclasses.dataclass(frozen=True)
class Geometry(_Jsonable):
    """Sizes and coding that model and weights were made for; saved with the model.

    `height` and `width` are of the network input in pixels. Where they are None, each image has its own
    size: its shorter side is `min_side`, or less where the longer one would exceed `max_side` (0: no
    limit). `scales` and `ratios` (width / height)
    describe the anchors; `crop_size` is the side of a pooled RoI in cells; `class_names` are the
    foreground classes in the order of their ids; `code_weights` belong to dx, dy, dw, dh.
    """

    height: int | None
    width: int | None
    channels: int
    scales: tuple[float, ...]
    ratios: tuple[float, ...]
    crop_size: int
    class_names: tuple[str, ...]
    code_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    stride: int = 16
    min_side: int = 0
    max_side: int = 0

    @property
    def dynamic(self) -> bool:
        """Whether images have their own sizes."""
        return self.height is None

    @property
    def size_text(self) -> str:
        """The input size as messages name it."""
        if not self.dynamic:
            return f"{self.height}x{self.width} (height x width)"
        return f"size_min {self.min_side} px, output_image_max {self.max_side} px (dynamic shape)"


@dataclasses.dataclass(frozen=True)
class ProposalSettings:
    """How many boxes the RPN's NMS gets and gives, and its IoU threshold."""

    pre_nms: int
    post_nms: int
    iou_threshold: float


@dataclasses.dataclass(frozen=True)
class DetectionSettings:
    """Proposals and final NMS of evaluation and inference."""

    proposals: ProposalSettings
    score_threshold: float
    iou_threshold: float
    max_detections: int


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """Matching, sampling and losses; the names are the spec's."""

    proposals: ProposalSettings
    rpn_min_overlap: float
    rpn_max_overlap: float
    rpn_mini_batch: int
    classifier_min_overlap: float
    classifier_max_overlap: float
    roi_mini_batch: int
    gt_as_roi: bool
    rpn_inside_anchors_only: bool
    lambda_rpn_class: float
    lambda_rpn_regr: float
    std_scaling: float
    lambda_cls_class: float
    lambda_cls_regr: float
    regularizer: str
    regularizer_weight: float
    seed: int
