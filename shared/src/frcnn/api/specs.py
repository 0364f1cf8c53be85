"""Resolves specs that are given as arguments: as objects, as files, or by the model that contains one."""

import os
from pathlib import Path
from typing import TypeAlias

from frcnn.errors import UsageError
from frcnn.spec.load import parse_experiment
from frcnn.spec.python_api import given
from frcnn.spec.schema.experiment import Experiment
from frcnn.spec.schema.export import DatasetExportConfig

SpecLike: TypeAlias = Experiment | str | os.PathLike[str]
ConvertSpecLike: TypeAlias = DatasetExportConfig | str | os.PathLike[str]


def given_spec(spec: SpecLike) -> Experiment:
    """Returns the checked experiment spec for an argument.

    Args:
        spec: Spec object, file name or `s3://` URI.

    Returns:
        The checked spec.

    Raises:
        SpecError: The file cannot be read, or the spec has errors; the message lists all of them.
        StoreError: The object on S3 cannot be read.
    """
    return given(Experiment, spec)


def given_convert_spec(spec: ConvertSpecLike) -> DatasetExportConfig:
    """Returns the checked dataset_convert spec for an argument; see `given_spec`."""
    return given(DatasetExportConfig, spec)


def parsed_spec(text: str, source: str) -> Experiment:
    """Parses a spec whose warnings were already logged.

    Args:
        text: Protobuf text.
        source: Name of the spec in messages.

    Returns:
        The checked spec.
    """
    return parse_experiment(text, source, remarks=False).spec


def with_epochs(spec: Experiment, num_epochs: int | None) -> Experiment:
    """Replaces the number of epochs.

    Args:
        spec: Checked spec.
        num_epochs: Number of epochs; None keeps that of the spec.

    Returns:
        Changed copy, whose training saves at least one checkpoint.

    Raises:
        UsageError: The number is not a whole number of 1 or more.
    """
    if num_epochs is None:
        return spec
    if isinstance(num_epochs, bool) or not isinstance(num_epochs, int) or num_epochs < 1:
        raise UsageError(f"num_epochs {num_epochs!r}: expected 1 or more", argument="num_epochs")
    fields = spec.training_config.fields_for_epochs(num_epochs)
    return spec.updated({f"training_config.{name}": value for name, value in fields.items()})


def own_spec(path: Path, key: str = "") -> Experiment:
    """Reads the spec that a trained model was trained with; it contains no keys.

    Args:
        path: Model file.
        key: Key of a sealed file; empty for a plain one.

    Returns:
        The spec.

    Raises:
        ModelError: The model cannot be loaded, or the file contains no spec.
        UsageError: The file is not a trained model.
    """
    # Imported here, because a conversion needs neither NumPy's image functions nor a model's settings.
    from frcnn.inference.open_model import recognized
    from frcnn.model.files.training_record import read_record
    from frcnn.settings.inference import contained_spec

    if recognized(path) != "keras":
        raise UsageError(f"spec: {path} contains no spec; only trained models do", argument="spec")

    return contained_spec(read_record(path, key).spec_text, path)
