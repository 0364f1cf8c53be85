"""Settings of the detector as frozen dataclasses that serialize to JSON."""

import dataclasses
from typing import Any, Self

from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.errors import ModelError

# Fields in files of earlier versions. Their targets were never scaled, so the fields can be ignored.
_FORMER = ("std_scaling",)


class _Jsonable:
    """Mixin with `to_config` and `from_config` for dataclasses of numbers, strings and tuples."""

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
    """Sizes, anchors and box coding that a model was built for; saved with the model.

    Attributes:
        height: Height of the network input, px; None if each image has its own size.
        width: Width of the network input, px; None if each image has its own size.
        channels: Number of image channels.
        scales: Anchor scales, px.
        ratios: Anchor ratios, width / height.
        crop_size: Side of a pooled RoI, cells.
        class_names: Foreground classes in the order of their ids.
        code_weights: Weights of dx, dy, dw, dh in the RoI head.
        stride: Pixels per feature map cell.
        min_side: With dynamic shape, length of the shorter side, px; less if the longer side would exceed
            `max_side`.
        max_side: With dynamic shape, maximum length of the longer side, px; 0 for no limit.
        positions_by_stride: Whether RoIs are pooled at their position divided by the stride. Otherwise the
            last pixel of an image lies at the last cell of the feature map.
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
    positions_by_stride: bool = False

    @property
    def dynamic(self) -> bool:
        """Returns whether each image has its own size."""
        return self.height is None

    @property
    def size_text(self) -> str:
        """Input size as shown in messages."""
        if not self.dynamic:
            return f"{self.height}x{self.width} (height x width)"
        return f"size_min {self.min_side} px, output_image_max {self.max_side} px (dynamic shape)"


def check_geometry(actual: Geometry, expected: Geometry, subject: str) -> None:
    """Checks that a model has the classes and the input size of a spec.

    Args:
        actual: Geometry of the model.
        expected: Geometry in the spec.
        subject: Begin of the message, such as `model.keras: trained`.

    Raises:
        ModelError: They differ; the message shows both.
    """
    if actual.class_names != expected.class_names:
        raise ModelError(
            f"{subject} for classes {', '.join(actual.class_names)}; "
            f"the spec maps to {', '.join(expected.class_names)}"
        )
    if (actual.height, actual.width) != (expected.height, expected.width):
        raise ModelError(f"{subject} for input {actual.size_text}; the spec says {expected.size_text}")


@dataclasses.dataclass(frozen=True)
class ProposalSettings:
    """Numbers of boxes before and after the RPN's NMS, and its IoU threshold."""

    pre_nms: int
    post_nms: int
    iou_threshold: float


@dataclasses.dataclass(frozen=True)
class DetectionSettings:
    """Settings of proposals and final NMS for evaluation and inference."""

    proposals: ProposalSettings
    score_threshold: float
    iou_threshold: float
    max_detections: int


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """Settings of matching, sampling and losses, named as in the spec."""

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


@dataclasses.dataclass(frozen=True)
class BackboneOptions:
    """Fields of `model_config` that affect a backbone, with TAO's defaults."""

    use_bias: bool = False
    use_pooling: bool = False
    all_projections: bool = False
    freeze_bn: bool = False
    freeze_blocks: frozenset[int] = frozenset()
    dropout_rate: float = 0.0
    drop_connect_rate: float = 0.0
    activation: str = ""


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """Settings that determine the graph of a detector.

    Attributes:
        arch: Architecture, such as `resnet:18`.
        geometry: Sizes, anchors, classes and box coding.
        backbone: Options of the backbone.
        halved_crops: Whether RoIs are pooled to twice the pool size and halved by the head (`pool_size_2x`).
    """

    arch: str
    geometry: Geometry
    backbone: BackboneOptions = BackboneOptions()
    halved_crops: bool = False


@dataclasses.dataclass(frozen=True)
class ExpectedModel:
    """Properties that a model file must have, and the settings to run it with.

    Attributes:
        geometry: Expected classes and input size.
        detection: Settings of proposals and final NMS.
        section: Section of the spec with these settings, for messages.
        image: Expected input format; None to accept any.
    """

    geometry: Geometry
    detection: DetectionSettings
    section: str = "evaluation_config"
    image: ImageSettings | None = None
