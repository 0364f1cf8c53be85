"""The experiment spec as typed, read-only objects, defaults applied.

Class and field names are those of `experiment.proto`, where meaning and units stand; a test holds
both together. Unset messages and unset members of a oneof are None, lists are tuples, maps are
read-only and sorted by key.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

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

    @property
    def class_names(self) -> tuple[str, ...]:
        """The model's classes, sorted; a class's id is its index. Background is not among them."""
        return tuple(sorted(set(self.dataset_config.target_class_mapping.values())))

    def evaluated_on(self, tfrecords: str, images: Path | None) -> "Experiment":
        """This spec with another validation set: a glob of record files and the folder of their images."""
        source = DataSource(tfrecords_path=tfrecords, image_directory_path=str(images or ""))
        dataset = replace(self.dataset_config, validation_fold=None, validation_data_source=source)
        return replace(self, dataset_config=dataset)
