"""Typed, read-only form of `DatasetExportConfig`, the spec of dataset_convert.

Names, meaning and units of all fields: `dataset_export.proto`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Self

from frcnn.spec.schema.constraints import Choice, NotEmpty, Range, ZeroIsNotSet
from frcnn.spec.schema.frozen_map import FrozenMap


@dataclass(frozen=True, kw_only=True)
class KITTIConfig:
    """Images and label files in the layout of KITTI."""

    root_directory_path: str = ""
    image_dir_name: str = ""
    label_dir_name: str = ""
    point_clouds_dir: str = ""
    calibrations_dir: str = ""
    kitti_sequence_to_frames_file: str = ""
    image_extension: Annotated[str, ZeroIsNotSet()] = ".png"
    num_partitions: int = 0
    num_shards: int = 0
    partition_mode: Annotated[str, Choice(("random", "sequence"))] = "random"
    val_split: Annotated[float, Range("[0, 100)")] = 0.0


@dataclass(frozen=True, kw_only=True)
class COCOConfig:
    """Images and JSON annotations in the layout of COCO."""

    root_directory_path: str = ""
    img_dir_names: Annotated[tuple[str, ...], NotEmpty()]
    annotation_files: Annotated[tuple[str, ...], NotEmpty()]
    num_partitions: Annotated[int, Range(">= 1")]
    num_shards: tuple[int, ...] = (0,)


@dataclass(frozen=True, kw_only=True)
class SampleModifierConfig:
    """Drops and repeats training images to balance classes."""

    filter_samples_containing_only: tuple[str, ...] = ()
    dominant_target_classes: tuple[str, ...] = ()
    minimum_target_class_imbalance: Mapping[str, Annotated[float, Range(">= 0")]] = FrozenMap()
    num_duplicates: int = 0
    max_training_samples: int = 0
    source_to_target_class_mapping: Mapping[str, str] = FrozenMap()


@dataclass(frozen=True, kw_only=True)
class DatasetExportConfig:
    """What becomes TFRecords, and how; exactly one of the two data set configs is set.

    `text` is the file's text and `source` its name as the user gave it; neither is a field of the file.
    """

    coco_config: COCOConfig | None = None
    kitti_config: KITTIConfig | None = None
    sample_modifier_config: SampleModifierConfig | None = None
    image_directory_path: str = ""
    target_class_mapping: Mapping[str, str] = FrozenMap()
    text: str = field(default="", repr=False, compare=False)
    source: str = field(default="", compare=False)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads the dataset_convert spec in a file, which may be an `s3://` URI.

        Args:
            path: The file, protobuf text in UTF-8.

        Returns:
            The checked spec.

        Raises:
            SpecError: The file cannot be read, or the spec has faults; all of them are named.
            StoreError: The object on S3 cannot be read.
        """
        from frcnn.spec import python_api

        return python_api.load(cls, path)

    @classmethod
    def parse(cls, text: str, source: str = "") -> Self:
        """Reads a dataset_convert spec from text; messages call it `source`.

        Raises:
            SpecError: The spec has faults; all of them are named.
        """
        from frcnn.spec import python_api

        return python_api.parse(cls, text, source)

    def updated(self, values: Mapping[str, object]) -> Self:
        """Returns a checked copy of this spec with some values replaced, by path: `kitti_config.val_split`.

        Raises:
            SpecError: There is no such field, or a value cannot be right; all faults are named.
        """
        from frcnn.spec import python_api

        return python_api.updated(self, values)

    def to_text(self, *, secrets: bool = False) -> str:
        """Writes the spec as protobuf text with every value, defaults included; it holds no `secrets`."""
        from frcnn.spec.show import text_of

        return text_of(self, secrets=secrets)
