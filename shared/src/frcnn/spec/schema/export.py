"""Typed, read-only form of `DatasetExportConfig`, the spec of `frcnn dataset_convert`.

See `dataset_export.proto` for the meaning and unit of each field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from frcnn.spec.schema.constraints import Choice, NotEmpty, Range, ZeroIsNotSet
from frcnn.spec.schema.frozen_map import FrozenMap
from frcnn.spec.schema.spec_base import SpecBase

# More files or folds than that are not read in a reasonable time.
Files = Annotated[int, Range("[0, 65536]")]


@dataclass(frozen=True, kw_only=True)
class KITTIConfig:
    """Data set in KITTI layout: images and label files."""

    root_directory_path: str = ""
    image_dir_name: str = ""
    label_dir_name: str = ""
    point_clouds_dir: str = ""
    calibrations_dir: str = ""
    kitti_sequence_to_frames_file: str = ""
    image_extension: Annotated[str, ZeroIsNotSet()] = ".png"
    num_partitions: Files = 0
    num_shards: Files = 0
    partition_mode: Annotated[str, Choice(("random", "sequence"))] = "random"
    val_split: Annotated[float, Range("[0, 100)")] = 0.0


@dataclass(frozen=True, kw_only=True)
class COCOConfig:
    """Data set in COCO layout: images and JSON annotations."""

    root_directory_path: str = ""
    img_dir_names: Annotated[tuple[str, ...], NotEmpty()]
    annotation_files: Annotated[tuple[str, ...], NotEmpty()]
    num_partitions: Annotated[int, Range("[1, 65536]")]
    num_shards: tuple[Files, ...] = (0,)


@dataclass(frozen=True, kw_only=True)
class SampleModifierConfig:
    """Removal and duplication of training images to balance classes."""

    filter_samples_containing_only: tuple[str, ...] = ()
    dominant_target_classes: tuple[str, ...] = ()
    minimum_target_class_imbalance: Mapping[str, Annotated[float, Range(">= 0")]] = FrozenMap()
    num_duplicates: int = 0
    max_training_samples: int = 0
    source_to_target_class_mapping: Mapping[str, str] = FrozenMap()


@dataclass(frozen=True, kw_only=True)
class DatasetExportConfig(SpecBase):
    """Spec of a conversion to TFRecords. Exactly one of the two data set configs is set.

    `text` is the text of the file and `source` its name as given by the user. Neither is a field of the file.
    """

    coco_config: COCOConfig | None = None
    kitti_config: KITTIConfig | None = None
    sample_modifier_config: SampleModifierConfig | None = None
    image_directory_path: str = ""
    target_class_mapping: Mapping[str, str] = FrozenMap()
    text: str = field(default="", repr=False, compare=False)
    source: str = field(default="", compare=False)
