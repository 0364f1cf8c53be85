"""Training record of a model file: architecture, progress, metrics and the text of the spec."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frcnn.errors import ModelError, RunError
from frcnn.model.files.archive import FAULTS, RECORD, describe_fault, read_configuration
from frcnn.sealing.sealed_file import opened


@dataclasses.dataclass(frozen=True)
class TrainingRecord:
    """Progress of a training.

    Attributes:
        arch: Architecture.
        class_names: Class names in the order of their ids.
        epoch: Number of completed epochs.
        step: Number of completed steps.
        spec_text: Text of the spec.
        metrics: Metrics of the last epoch by name.
        history: One row per epoch: its number, seconds, learning_rate, losses, and mAP if it was validated.
    """

    arch: str
    class_names: tuple[str, ...]
    epoch: int = 0
    step: int = 0
    spec_text: str = ""
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    history: tuple[dict[str, float], ...] = ()


def read_record(path: Path, key: str = "") -> TrainingRecord:
    """Reads the training record of a model file without building the model.

    Args:
        path: Model file.
        key: Key of a sealed file.

    Returns:
        The record.

    Raises:
        ModelError: The file is broken, sealed with another key, or not a detector of this program.
    """
    with opened(path, key, "keras") as plain:
        return record_in(plain, path)


def trained_epochs(path: Path, key: str = "") -> int | None:
    """Returns the number of epochs that a model was trained for; `None` if its file does not say.

    Args:
        path: Model file, also an exported one.
        key: Key of a sealed file.
    """
    try:
        return read_record(path, key).epoch
    except (ModelError, RunError):
        return None


def record_in(plain: Path, shown: Path) -> TrainingRecord:
    """Reads the training record of a plain model file.

    Args:
        plain: Plain file.
        shown: Path of the file in messages.

    Returns:
        The record.

    Raises:
        ModelError: The file is broken or not a detector of this program.
    """
    try:
        return _record_of(read_configuration(plain, RECORD))
    except (*FAULTS, TypeError, AttributeError, RecursionError) as error:
        if shown.suffix.lower() == ".onnx":
            raise ModelError(f"{shown}: is an exported model; give the trained one") from error
        reason = describe_fault(error)
        raise ModelError(f"{shown}: not a detector written by this program: {reason}") from error


def _record_of(fields: Mapping[str, Any]) -> TrainingRecord:
    return TrainingRecord(
        arch=str(fields["arch"]),
        class_names=tuple(map(str, fields["class_names"])),
        epoch=int(fields["epoch"]),
        step=int(fields["step"]),
        spec_text=str(fields["spec_text"]),
        metrics=_numbers(fields["metrics"]),
        history=tuple(map(_numbers, fields.get("history", ()))),
    )


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in row.items()}
