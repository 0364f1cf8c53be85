"""Faster R-CNN driven by a prototxt experiment spec: convert, train, evaluate, infer, prune, export.

Example::

    detector = frcnn.load("results/best")
    for found in detector.predict("street.jpg"):
        print(found.label, found.score, found.xyxy)

Importing the package imports nothing heavy: each name is fetched when it is first used. docs/python.md shows
them at work; `frcnn.errors` has the exceptions, `frcnn.spec` the classes of a spec.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn import errors, spec
    from frcnn.api.comparing import Comparison, compare
    from frcnn.api.converting import ConvertResult, convert
    from frcnn.api.data_reports import DataReport, Finding, data_report
    from frcnn.api.engine import Engine
    from frcnn.api.evaluating import EvaluationResult, evaluate
    from frcnn.api.exporting import ExportResult, export
    from frcnn.api.int8 import Int8
    from frcnn.api.label_formats import LabelsResult, convert_labels
    from frcnn.api.loading import load
    from frcnn.api.locations import Location
    from frcnn.api.new_specs import NewSpecResult, new_spec
    from frcnn.api.pruning import PruneResult, prune
    from frcnn.api.training import Epoch, TrainResult, train
    from frcnn.api.tuning import TuneResult, tune
    from frcnn.evaluation.report import ClassResult
    from frcnn.inference.detections import CocoResult, Detection, Detections, SupervisionFields
    from frcnn.inference.detector import Detector
    from frcnn.inference.images import ImageLike
    from frcnn.progress import Progress
    from frcnn.spec.schema.experiment import Experiment as Spec
    from frcnn.spec.schema.export import DatasetExportConfig as ConvertSpec
    from frcnn.tuning.results import TuneTrial

__version__ = "0.1.0"

__all__ = [
    "ClassResult",
    "CocoResult",
    "Comparison",
    "ConvertResult",
    "ConvertSpec",
    "DataReport",
    "Detection",
    "Detections",
    "Detector",
    "Engine",
    "Epoch",
    "EvaluationResult",
    "ExportResult",
    "Finding",
    "ImageLike",
    "Int8",
    "LabelsResult",
    "Location",
    "NewSpecResult",
    "Progress",
    "PruneResult",
    "Spec",
    "SupervisionFields",
    "TrainResult",
    "TuneResult",
    "TuneTrial",
    "compare",
    "convert",
    "convert_labels",
    "data_report",
    "errors",
    "evaluate",
    "export",
    "load",
    "new_spec",
    "prune",
    "spec",
    "train",
    "tune",
]

# Where each public name is defined: module, and its name there if that is another.
_DEFINED_IN = {
    "ClassResult": "frcnn.evaluation.report",
    "CocoResult": "frcnn.inference.detections",
    "Comparison": "frcnn.api.comparing",
    "ConvertResult": "frcnn.api.converting",
    "ConvertSpec": "frcnn.spec.schema.export:DatasetExportConfig",
    "DataReport": "frcnn.api.data_reports",
    "Detection": "frcnn.inference.detections",
    "Detections": "frcnn.inference.detections",
    "Detector": "frcnn.inference.detector",
    "Engine": "frcnn.api.engine",
    "Epoch": "frcnn.api.training",
    "EvaluationResult": "frcnn.api.evaluating",
    "ExportResult": "frcnn.api.exporting",
    "Finding": "frcnn.api.data_reports",
    "ImageLike": "frcnn.inference.images",
    "Int8": "frcnn.api.int8",
    "LabelsResult": "frcnn.api.label_formats",
    "Location": "frcnn.api.locations",
    "NewSpecResult": "frcnn.api.new_specs",
    "Progress": "frcnn.progress",
    "PruneResult": "frcnn.api.pruning",
    "Spec": "frcnn.spec.schema.experiment:Experiment",
    "SupervisionFields": "frcnn.inference.detections",
    "TrainResult": "frcnn.api.training",
    "TuneResult": "frcnn.api.tuning",
    "TuneTrial": "frcnn.tuning.results",
    "compare": "frcnn.api.comparing",
    "convert": "frcnn.api.converting",
    "convert_labels": "frcnn.api.label_formats",
    "data_report": "frcnn.api.data_reports",
    "evaluate": "frcnn.api.evaluating",
    "export": "frcnn.api.exporting",
    "load": "frcnn.api.loading",
    "new_spec": "frcnn.api.new_specs",
    "prune": "frcnn.api.pruning",
    "train": "frcnn.api.training",
    "tune": "frcnn.api.tuning",
}


def __getattr__(name: str) -> object:
    """Imports the module that a public name is defined in, on its first use."""
    if name in ("errors", "spec"):
        return importlib.import_module(f"frcnn.{name}")
    if name not in _DEFINED_IN:
        raise AttributeError(f"module 'frcnn' has no attribute {name!r}")
    module, _, original = _DEFINED_IN[name].partition(":")
    from frcnn.packages import needed_for, silence_logging

    silence_logging()
    with needed_for(f"frcnn.{name}"):
        found: object = getattr(importlib.import_module(module), original or name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Lists the public names, fetched or not."""
    return sorted({*globals(), *__all__})
