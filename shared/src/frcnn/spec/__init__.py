"""Experiment and data set specs: protobuf text in, checked, typed, read-only objects out."""

from frcnn.spec.load import load_dataset_export, load_experiment
from frcnn.spec.schema.experiment import DatasetExportConfig, Experiment

__all__ = ["DatasetExportConfig", "Experiment", "load_dataset_export", "load_experiment"]
