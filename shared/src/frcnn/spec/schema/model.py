"""Typed, read-only form of `ModelConfig`.

See `experiment.proto` for the meaning and unit of each field.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from frcnn.spec.archs import ARCHS
from frcnn.spec.schema.constraints import Choice, NotEmpty, Range, ZeroIsNotSet
from frcnn.spec.schema.frozen_map import FrozenMap

Positive = Annotated[float, Range("> 0")]
Count = Annotated[int, Range("> 0")]
# Longest side of a JPEG image, px.
Side = Annotated[int, Range("[128, 65535]", "px")]
DropRate = Annotated[float, Range("[0, 1)")]


class ImageType(enum.Enum):
    """Kind of images: 3 channels or 1."""

    RGB = 0
    GRAY_SCALE = 1


@dataclass(frozen=True, kw_only=True)
class SizeMin:
    """Dynamic input shape."""

    min: Side


@dataclass(frozen=True, kw_only=True)
class SizeHeightWidth:
    """Static input shape."""

    height: Side
    width: Side


@dataclass(frozen=True, kw_only=True)
class InputImageConfig:
    """Network input. Exactly one of the two sizes is set."""

    size_min: SizeMin | None = None
    size_height_width: SizeHeightWidth | None = None
    image_channel_mean: Mapping[str, Annotated[float, Range("(0, 255)")]]
    image_scaling_factor: Positive = 1.0
    image_channel_order: Annotated[str, Choice(("rgb", "bgr", "l"))]
    image_type: ImageType = ImageType.RGB
    max_objects_num_per_image: Annotated[int, Range("[1, 100000]")] = 100

    @property
    def channels(self) -> int:
        """Number of channels: 3 for RGB, 1 for GRAY_SCALE."""
        return 1 if self.image_type is ImageType.GRAY_SCALE else 3


@dataclass(frozen=True, kw_only=True)
class AnchorBoxConfig:
    """Anchor scales and aspect ratios, used in all combinations."""

    scale: Annotated[tuple[Positive, ...], NotEmpty()]
    ratio: Annotated[tuple[Positive, ...], NotEmpty()]


@dataclass(frozen=True, kw_only=True)
class RoiPoolingConfig:
    """Size and position of the pooled RoIs."""

    pool_size: Count = 7
    pool_size_2x: bool = False
    positions_by_stride: bool = False


@dataclass(frozen=True, kw_only=True)
class Activation:
    """Activation function of EfficientNet."""

    activation_type: Annotated[str, Choice(("swish", "relu")), ZeroIsNotSet()] = "swish"
    activation_parameters: Mapping[str, float] = FrozenMap()


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Backbone, RPN and RCNN head."""

    input_image_config: InputImageConfig
    arch: Annotated[str, Choice(ARCHS)]
    anchor_box_config: AnchorBoxConfig
    roi_mini_batch: Count = 256
    rpn_stride: Annotated[int, Choice((16,))] = 16
    freeze_bn: bool = False
    rpn_cls_activation_type: str = ""
    freeze_blocks: tuple[int, ...] = ()
    use_bias: bool = False
    roi_pooling_config: RoiPoolingConfig = RoiPoolingConfig()
    rfcn_mode: bool = False
    tf_proposal_layer: bool = False
    all_projections: bool = False
    use_pooling: bool = False
    dropout_rate: DropRate = 0.0
    drop_connect_rate: DropRate = 0.0
    activation: Activation = Activation()
