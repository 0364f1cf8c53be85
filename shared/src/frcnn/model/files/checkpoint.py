"""Model files: graph, weights, optimizer state and training record in one file.

A file is a Keras archive (a zip) with one more member, `frcnn.json`. With a key it is sealed and ends in
`.tlt`; without one it is a plain archive and ends in `.keras`. Loading never executes code from the file.
"""

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from frcnn.errors import ModelError
from frcnn.model.build import detection_settings, geometry_of
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files.archive import (
    CONFIG,
    FAULTS,
    RECORD,
    Group,
    read_configuration,
    read_weights,
    write_archive,
)
from frcnn.model.files.config_guard import limit_variable_bytes, restore_initializers, sanitize_config
from frcnn.model.files.hdf5_tree import Tree
from frcnn.model.files.variable_paths import owners_in
from frcnn.model.keras_detector import KerasDetector
from frcnn.model.precision import saved_as_float32
from frcnn.sealing.sealed_file import created, opened

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

log = logging.getLogger(__name__)

_OPTIMIZER = "optimizer/"
# Upper limit of the size of counters and seeds, which are not among the weights.
_SPARE_BYTES = 16 << 20


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


@dataclasses.dataclass(frozen=True, eq=False)
class OptimizerState:
    """Optimizer state in a file.

    Attributes:
        kind: Class, such as `Adam`; with loss scaling, the class of the wrapped optimizer.
        groups: Variables by path: `optimizer/vars`, and `optimizer/inner_optimizer/vars` of an optimizer that
            is wrapped for loss scaling.
    """

    kind: str
    groups: Mapping[str, list[np.ndarray]]


class Snapshots:
    """Takes snapshots of a model between two steps, which a writer can save during later steps."""

    def __init__(self, model: FasterRCNN) -> None:
        """Prepares snapshots of a model.

        Args:
            model: Built model, which is compiled if its optimizer is to be saved. It is not modified.
        """
        with saved_as_float32(model):
            self._config = json.dumps(keras.saving.serialize_keras_object(model))
        self._owners = owners_in(model)

    def take(self) -> "Snapshot":
        """Takes a snapshot of the current values of all variables.

        The arrays share TensorFlow's memory. TensorFlow does not write to memory that is being read:
        assigning to a variable gives it new memory.

        Returns:
            The snapshot.
        """
        # A variable may have two owners: a loss-scaling optimizer also lists the slots of the wrapped one.
        arrays = {id(each): _shared(each) for owner in self._owners for each in owner.variables}
        groups = [
            Group(owner.path, owner.name, [arrays[id(each)] for each in owner.variables])
            for owner in self._owners
        ]
        return Snapshot(self._config, groups)


@dataclasses.dataclass(frozen=True, eq=False)
class Snapshot:
    """Configuration and variables of a model at one moment."""

    config: str
    groups: list[Group]

    def not_finite(self) -> str | None:
        """Returns the name of a part of the model with NaN or infinite values, or None."""
        for group in self.groups:
            for array in group.arrays:
                if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
                    return group.name or group.path
        return None

    def save(self, path: Path, record: TrainingRecord, key: str = "") -> None:
        """Writes a model file atomically, from any thread.

        Args:
            path: Output file.
            record: Progress of the training.
            key: Key that seals the file; empty for a plain file.
        """
        with created(path, key, "keras") as plain:
            text = json.dumps(dataclasses.asdict(record), indent=1)
            write_archive(plain, self.config, self.groups, text, keras.__version__)


def _shared(variable: keras.Variable) -> np.ndarray:
    # `numpy()` would copy, which would delay the next step too long.
    return np.asarray(variable.value.read_value())


def save_model(model: FasterRCNN, path: Path, record: TrainingRecord, key: str = "") -> None:
    """Writes a model file atomically.

    Args:
        model: Model to save.
        path: Output file.
        record: Progress of the training.
        key: Key that seals the file; empty for a plain file.
    """
    Snapshots(model).take().save(path, record, key)


def load_model(path: Path, key: str = "") -> tuple[FasterRCNN, TrainingRecord]:
    """Loads a detector and its training record; arguments and errors as `load_checkpoint`."""
    return load_checkpoint(path, key)[:2]


def load_checkpoint(path: Path, key: str = "") -> tuple[FasterRCNN, TrainingRecord, OptimizerState | None]:
    """Loads a detector, its training record and the optimizer state.

    Args:
        path: Model file, sealed or plain; the content decides which.
        key: Key of a sealed file.

    Returns:
        Tuple of detector, training record, and optimizer state, or None if the file has none.

    Raises:
        ModelError: The file is missing, broken, sealed with another key, or not a detector of this program.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such model file; set one with -m or in the spec")
    with opened(path, key, "keras") as plain:
        return _load_plain(plain, path)


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
        return _record_in(plain, path)


def _record_in(plain: Path, shown: Path) -> TrainingRecord:
    try:
        record = _record_of(read_configuration(plain, RECORD))
    except (*FAULTS, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{shown}: not a detector written by this program ({error})") from error
    return record


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


def _load_plain(plain: Path, shown: Path) -> tuple[FasterRCNN, TrainingRecord, OptimizerState | None]:
    record = _record_in(plain, shown)
    tree = read_weights(plain, shown)
    try:
        config = read_configuration(plain, CONFIG)
        model = _built(config, tree)
        fill(model, tree)
    except ModelError as error:
        raise ModelError(f"{shown}: {error}") from error
    except Exception as error:  # Keras may raise anything for an invalid configuration
        raise ModelError(f"{shown}: damaged, or written by a newer version ({_first_line(error)})") from error
    return model, record, _optimizer_state(config, tree)


def _built(config: Any, tree: Tree) -> FasterRCNN:
    """Builds the detector that a configuration describes; its weights are zero."""
    safe, initializers = sanitize_config(config)
    size = sum(array.nbytes for path, array in tree.arrays.items() if not path.startswith(_OPTIMIZER))
    with limit_variable_bytes(size + _SPARE_BYTES):
        model = keras.saving.deserialize_keras_object(safe, safe_mode=True)
    if not isinstance(model, FasterRCNN):
        raise ModelError(f"contains a {type(model).__name__}, not a detector")
    restore_initializers([*model.features.layers, *model.roi_head.layers], initializers)
    return model


def fill(model: FasterRCNN, tree: Tree) -> None:
    """Assigns the arrays in a file to the model's variables.

    Args:
        model: Model to fill.
        tree: Content of the weight file.

    Raises:
        ModelError: The arrays do not match the model.
    """
    for owner in owners_in(model):
        arrays = tree.numbered(owner.path)
        if [array.shape for array in arrays] != [tuple(each.shape) for each in owner.variables]:
            raise ModelError(f"damaged: the weights of {owner.name} do not match its layer")
        for variable, array in zip(owner.variables, arrays, strict=True):
            variable.assign(array)


def _optimizer_state(config: Mapping[str, Any], tree: Tree) -> OptimizerState | None:
    found = (config.get("compile_config") or {}).get("optimizer")
    while isinstance(found, dict) and isinstance(
        inner := (found.get("config") or {}).get("inner_optimizer"), dict
    ):
        found = inner
    paths = [path for path in tree.texts if path.startswith(_OPTIMIZER)]
    if not isinstance(found, dict) or not paths:
        return None
    return OptimizerState(str(found.get("class_name")), {path: tree.numbered(path) for path in paths})


def load_detector(path: Path, spec: "Experiment", key: str = "", mode: str = "evaluation") -> KerasDetector:
    """Loads the detector in a file with settings from a spec.

    Args:
        path: Model file.
        spec: Spec.
        key: Key of a sealed file.
        mode: Section of the spec to use: `evaluation` or `inference`.

    Returns:
        The detector.

    Raises:
        ModelError: The model cannot be loaded, or the spec has other classes or another input size.
    """
    model, _ = load_model(path, key)
    check_fits(model, spec, path)
    config = spec.inference_config if mode == "inference" else spec.evaluation_config
    return KerasDetector(model, detection_settings(config))


def check_fits(model: FasterRCNN, spec: "Experiment", path: Path) -> None:
    """Checks whether a model matches a spec.

    Args:
        model: Model.
        spec: Spec.
        path: Model file, for messages.

    Raises:
        ModelError: The spec has other classes or another input size; the message shows both.
    """
    have, wanted = model.geometry, geometry_of(spec)
    if have.class_names != tuple(spec.class_names):
        raise ModelError(
            f"{path}: trained for classes {', '.join(have.class_names)}; "
            f"the spec maps to {', '.join(spec.class_names)}"
        )
    if (have.height, have.width) != (wanted.height, wanted.width):
        raise ModelError(f"{path}: made for input {have.size_text}; the spec says {wanted.size_text}")
    if have.size_text != wanted.size_text:
        log.warning("%s: trained on input %s; the spec says %s", path, have.size_text, wanted.size_text)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
