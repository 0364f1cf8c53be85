"""Experiment and data set specs: reads protobuf text into checked, typed, read-only objects.

The config classes are public. Python code can build specs from them (`frcnn.Spec`, `frcnn.ConvertSpec`).
They are imported on their first use: an exported model runs without them, and starts sooner.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.spec.load import load_dataset_export, load_experiment
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
    from frcnn.spec.schema.experiment import Experiment
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
    "load_dataset_export",
    "load_experiment",
]

_FUNCTIONS = ("load_dataset_export", "load_experiment")
_SCHEMA = tuple(f"schema.{each}" for each in ("experiment", "model", "training", "data", "run", "export"))


def __getattr__(name: str) -> object:
    """Imports a public name on its first use."""
    if name not in __all__:
        raise AttributeError(f"module 'frcnn.spec' has no attribute {name!r}")
    modules = ("load",) if name in _FUNCTIONS else _SCHEMA
    found: object = next(
        getattr(module, name)
        for module in (importlib.import_module(f"frcnn.spec.{each}") for each in modules)
        if hasattr(module, name)
    )
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Lists the public names, imported or not."""
    return sorted({*globals(), *__all__})
