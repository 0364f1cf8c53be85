"""Experiment and data set specs: protobuf text in, checked, typed, read-only objects out."""

from frcnn.spec.config import DatasetExportConfig, Experiment
from frcnn.spec.load import load_dataset_export, load_experiment

__all__ = ["DatasetExportConfig", "Experiment", "load_dataset_export", "load_experiment"]
