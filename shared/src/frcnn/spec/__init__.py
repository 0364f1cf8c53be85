"""Experiment and data set specs: reads protobuf text into checked, typed, read-only objects.

The config classes are public. Python code can build specs from them (`frcnn.Spec`, `frcnn.ConvertSpec`).
They are imported on their first use: an exported model runs without them, and starts sooner.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.spec.load import load_dataset_export, load_experiment
    from frcnn.spec.schema.experiment import (
        Activation,
        AdamOptimizerConfig,
        AnchorBoxConfig,
        AugmentationConfig,
        ClearmlConfig,
        COCOConfig,
        ColorAugmentation,
        DataloaderMode,
        DatasetConfig,
        DatasetExportConfig,
        DataSource,
        EarlyStopping,
        EvaluationConfig,
        Experiment,
        GtMatchingIouThresholdRange,
        ImageType,
        InferenceConfig,
        InputImageConfig,
        KITTIConfig,
        LRConfig,
        ModelConfig,
        OptimizerConfig,
        Preprocessing,
        RegularizationType,
        RegularizerConfig,
        RmspropOptimizerConfig,
        RoiPoolingConfig,
        SampleModifierConfig,
        SamplingMode,
        SgdOptimizerConfig,
        SizeHeightWidth,
        SizeMin,
        SoftStartAnnealingConfig,
        SpatialAugmentation,
        StepLrConfig,
        TrainingConfig,
        TrtInference,
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
    "load_dataset_export",
    "load_experiment",
]

_FUNCTIONS = ("load_dataset_export", "load_experiment")


def __getattr__(name: str) -> object:
    """Imports a public name on its first use."""
    if name not in __all__:
        raise AttributeError(f"module 'frcnn.spec' has no attribute {name!r}")
    module = "frcnn.spec.load" if name in _FUNCTIONS else "frcnn.spec.schema.experiment"
    found: object = getattr(importlib.import_module(module), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Lists the public names, imported or not."""
    return sorted({*globals(), *__all__})
