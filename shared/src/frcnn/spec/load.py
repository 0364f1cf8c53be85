"""Protobuf text -> checked, typed, read-only spec."""

import dataclasses
from pathlib import Path

from google.protobuf import text_format

from frcnn.errors import Problem, SpecError
from frcnn.spec.config import DatasetExportConfig, Experiment
from frcnn.spec.convert import to_config


def load_experiment(path: Path) -> Experiment:
    """The experiment spec in the file `path`. Raises `SpecError` with all its faults."""
    from frcnn.spec import experiment_pb2

    return _load(path, experiment_pb2.Experiment(), Experiment)


def load_dataset_export(path: Path) -> DatasetExportConfig:
    """The dataset_convert spec in the file `path`. Raises `SpecError` with all its faults."""
    from frcnn.spec import dataset_export_pb2

    return _load(path, dataset_export_pb2.DatasetExportConfig(), DatasetExportConfig)


def _load(path, message, cls):
    text = Path(path).read_text(encoding="utf-8")
    try:
        text_format.Merge(text, message)
    except text_format.ParseError as error:
        raise SpecError(str(path), [Problem("", str(error), error.GetLine(), error.GetColumn())]) from error
    problems: list[Problem] = []
    config = to_config(message, cls, problems)
    if problems:
        raise SpecError(str(path), problems)
    return dataclasses.replace(config, text=text, source=str(path))
