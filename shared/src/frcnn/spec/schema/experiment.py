"""The experiment spec as typed, read-only objects, defaults applied.

Class and field names are those of `experiment.proto`, where meaning and units stand; a test holds
both together. Unset messages and unset members of a oneof are None, lists are tuples, maps are
read-only and sorted by key.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from frcnn.spec.schema.data import (
    AugmentationConfig,
    ColorAugmentation,
    DataloaderMode,
    DatasetConfig,
    DataSource,
    Preprocessing,
    SamplingMode,
    SpatialAugmentation,
)
from frcnn.spec.schema.export import COCOConfig, DatasetExportConfig, KITTIConfig, SampleModifierConfig
from frcnn.spec.schema.model import (
    Activation,
    AnchorBoxConfig,
    ImageType,
    InputImageConfig,
    ModelConfig,
    RoiPoolingConfig,
    SizeHeightWidth,
    SizeMin,
)
from frcnn.spec.schema.run import (
    EvaluationConfig,
    GtMatchingIouThresholdRange,
    InferenceConfig,
    TrtInference,
)
from frcnn.spec.schema.training import (
    AdamOptimizerConfig,
    ClearmlConfig,
    EarlyStopping,
    LRConfig,
    OptimizerConfig,
    RegularizationType,
    RegularizerConfig,
    RmspropOptimizerConfig,
    SgdOptimizerConfig,
    SoftStartAnnealingConfig,
    StepLrConfig,
    TrainingConfig,
    VisualizerConfig,
    WandbConfig,
    WandbMode,
)

__all__ = [
    "Activation",
    "AdamOptimizerConfig",
    "AnchorBoxConfig",
    "AugmentationConfig",
    "COCOConfig",
    "ClearmlConfig",
    "ColorAugmentation",
    "DataSource",
    "DataloaderMode",
    "DatasetConfig",
    "DatasetExportConfig",
    "EarlyStopping",
    "EvaluationConfig",
    "Experiment",
    "GtMatchingIouThresholdRange",
    "ImageType",
    "InferenceConfig",
    "InputImageConfig",
    "KITTIConfig",
    "LRConfig",
    "ModelConfig",
    "OptimizerConfig",
    "Preprocessing",
    "RegularizationType",
    "RegularizerConfig",
    "RmspropOptimizerConfig",
    "RoiPoolingConfig",
    "SampleModifierConfig",
    "SamplingMode",
    "SgdOptimizerConfig",
    "SizeHeightWidth",
    "SizeMin",
    "SoftStartAnnealingConfig",
    "SpatialAugmentation",
    "StepLrConfig",
    "TrainingConfig",
    "TrtInference",
    "VisualizerConfig",
    "WandbConfig",
    "WandbMode",
]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment: data, model, training, evaluation and inference.

    `text` is the file's text and `source` its name as the user gave it; neither is a field of the file.
    """

    random_seed: int = 42
    verbose: bool = False
    model_config: ModelConfig
    training_config: TrainingConfig
    dataset_config: DatasetConfig
    enc_key: str = field(default="", repr=False)
    augmentation_config: AugmentationConfig = field(default_factory=AugmentationConfig)
    inference_config: InferenceConfig = field(default_factory=InferenceConfig)
    evaluation_config: EvaluationConfig = field(default_factory=EvaluationConfig)
    text: str = field(default="", repr=False, compare=False)
    source: str = field(default="", compare=False)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads the experiment spec in a file, which may be an `s3://` URI.

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
        """Reads an experiment spec from text.

        Args:
            text: Protobuf text.
            source: What messages call the spec.

        Returns:
            The checked spec.

        Raises:
            SpecError: The spec has faults; all of them are named.
        """
        from frcnn.spec import python_api

        return python_api.parse(cls, text, source)

    @classmethod
    def build(
        cls,
        *,
        arch: str,
        size_height_width: tuple[int, int],
        target_class_mapping: Mapping[str, str],
        tfrecords_path: str | os.PathLike[str],
        image_directory_path: str | os.PathLike[str] = "",
        image_extension: str = "jpg",
    ) -> "Experiment":
        """Makes a spec from the values that have no sensible default; the others are the user guide's.

        Args:
            arch: The backbone, such as `resnet:18`.
            size_height_width: Height and width of the network input, px.
            target_class_mapping: From the classes in the records to the model's classes.
            tfrecords_path: Glob of the record files.
            image_directory_path: Folder of the images, if the records do not hold them.
            image_extension: Of the images: `jpg`, `jpeg` or `png`.

        Returns:
            The checked spec. Fold 0 is the validation set.

        Raises:
            SpecError: A value cannot be right; all of them are named.
        """
        from frcnn.spec.checked import checked_experiment
        from frcnn.spec.defaults import build

        return checked_experiment(
            build(
                arch=arch,
                size_height_width=size_height_width,
                target_class_mapping=target_class_mapping,
                tfrecords_path=tfrecords_path,
                image_directory_path=image_directory_path,
                image_extension=image_extension,
            )
        )

    def updated(self, values: Mapping[str, object]) -> Self:
        """Returns a checked copy of this spec with some values replaced.

        Args:
            values: By path: `training_config.num_epochs`, `dataset_config.data_sources[0].tfrecords_path`,
                `dataset_config.target_class_mapping["van"]`. Of fields that exclude each other, the one
                that is named stays.

        Raises:
            SpecError: There is no such field, or a value cannot be right; all faults are named.
        """
        from frcnn.spec import python_api

        return python_api.updated(self, values)

    def to_text(self, *, secrets: bool = False) -> str:
        """Writes the spec as protobuf text with every value, defaults included.

        Args:
            secrets: Write the keys (`enc_key`, that of Weights & Biases) too; otherwise they are left out.

        Returns:
            Text from which `parse` makes an equal spec.
        """
        from frcnn.spec.show import text_of

        return text_of(self, secrets=secrets)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The model's classes, sorted; a class's id is its index. Background is not among them."""
        return tuple(sorted(set(self.dataset_config.target_class_mapping.values())))

    def evaluated_on(self, tfrecords: str, images: Path | None) -> "Experiment":
        """This spec with another validation set: a glob of record files and the folder of their images."""
        source = DataSource(tfrecords_path=tfrecords, image_directory_path=str(images or ""))
        dataset = replace(self.dataset_config, validation_fold=None, validation_data_source=source)
        return replace(self, dataset_config=dataset)
