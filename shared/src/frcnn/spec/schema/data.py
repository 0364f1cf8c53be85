"""Typed, read-only form of `DatasetConfig` and `AugmentationConfig`.

See `experiment.proto` for the meaning and unit of each field.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from frcnn.spec.schema.constraints import Choice, NotEmpty, Range, ZeroIsNotSet

NotNegative = Annotated[float, Range(">= 0")]
Positive = Annotated[float, Range("> 0")]
Probability = Annotated[float, Range("[0, 1]")]
Edge = Annotated[int, Range("[0, 65535]", "px")]


class DataloaderMode(enum.Enum):
    """TAO's ways to read records. All of them behave like MULTISOURCE here."""

    MULTISOURCE = 0
    LEGACY = 1
    DEFAULT = 2


class SamplingMode(enum.Enum):
    """Ways to mix several record sets."""

    USER_DEFINED = 0
    PROPORTIONAL = 1
    UNIFORM = 2


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """TFRecord files and the folder of their images."""

    tfrecords_path: str
    image_directory_path: str = ""
    source_weight: Annotated[float, Range("> 0"), ZeroIsNotSet()] = 1.0


@dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """Records, images and classes; at most one of the two validation fields is set."""

    data_sources: Annotated[tuple[DataSource, ...], NotEmpty()]
    image_extension: Annotated[str, Choice(("jpg", "jpeg", "png"), any_case=True)]
    target_class_mapping: Annotated[Mapping[str, str], NotEmpty()]
    validation_fold: int | None = None
    validation_data_source: DataSource | None = None
    dataloader_mode: DataloaderMode = DataloaderMode.MULTISOURCE
    sampling_mode: SamplingMode = SamplingMode.USER_DEFINED


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Input size, crop and box filter. In a loaded spec, size and channels are those of the model."""

    output_image_width: int = 0
    output_image_height: int = 0
    crop_left: Edge = 0
    crop_top: Edge = 0
    crop_right: Edge = 0
    crop_bottom: Edge = 0
    min_bbox_width: NotNegative = 1.0
    min_bbox_height: NotNegative = 1.0
    scale_width: NotNegative = 0.0
    scale_height: NotNegative = 0.0
    output_image_channel: int = 0
    output_image_min: int = 0
    output_image_max: Edge = 0
    enable_auto_resize: bool = False


@dataclass(frozen=True, kw_only=True)
class SpatialAugmentation:
    """Random flip, zoom, translation and rotation."""

    hflip_probability: Probability = 0.0
    vflip_probability: Probability = 0.0
    zoom_min: Positive = 1.0
    zoom_max: Positive = 1.0
    translate_max_x: NotNegative = 0.0
    translate_max_y: NotNegative = 0.0
    rotate_rad_max: NotNegative = 0.0
    rotate_probability: Annotated[float, Range("[0, 1]"), ZeroIsNotSet()] = 1.0


@dataclass(frozen=True, kw_only=True)
class ColorAugmentation:
    """Random brightness, hue, saturation and contrast."""

    color_shift_stddev: NotNegative = 0.0
    hue_rotation_max: NotNegative = 0.0
    saturation_shift_max: NotNegative = 0.0
    contrast_scale_max: NotNegative = 0.0
    contrast_center: float = 0.5


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """Input size and random augmentation of training images."""

    preprocessing: Preprocessing = Preprocessing()
    spatial_augmentation: SpatialAugmentation = SpatialAugmentation()
    color_augmentation: ColorAugmentation = ColorAugmentation()
