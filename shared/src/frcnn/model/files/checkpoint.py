"""Model files: graph, weights, optimizer state and training record in one file.

A file is a Keras archive (a zip) with one more member, `frcnn.json`. With a key it is sealed and ends in
`.tlt`; without one it is a plain archive and ends in `.keras`. Loading never executes code from the file.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from frcnn.errors import ModelError, NotFiniteError
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files.archive import CONFIG, Group, read_configuration, read_weights, write_archive
from frcnn.model.files.config_guard import limit_variable_bytes, restore_initializers, sanitize_config
from frcnn.model.files.hdf5_tree import Tree
from frcnn.model.files.training_record import TrainingRecord, record_in
from frcnn.model.files.variable_paths import owners_in
from frcnn.model.precision import saved_as_float32
from frcnn.sealing.sealed_file import created, opened

_OPTIMIZER = "optimizer/"
# Upper limit of the size of counters and seeds, which are not among the weights.
_SPARE_BYTES = 16 << 20


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
                if not _is_finite(array):
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
        raise ModelError(f"{path}: no such model file; check its path")
    with opened(path, key, "keras") as plain:
        return _load_plain(plain, path)


def _load_plain(plain: Path, shown: Path) -> tuple[FasterRCNN, TrainingRecord, OptimizerState | None]:
    record = record_in(plain, shown)
    tree = read_weights(plain, shown)
    try:
        config = read_configuration(plain, CONFIG)
        model = _built(config, tree)
        _fill(model, tree)
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


def check_finite(model: FasterRCNN, path: Path) -> None:
    """Checks that all weights of a model are finite. Others give no detections, but no error either.

    Args:
        model: Model.
        path: Model file, for messages.

    Raises:
        NotFiniteError: A weight is NaN or infinite.
    """
    for variable in model.weights:
        if not _is_finite(_shared(variable)):
            raise NotFiniteError(
                f"{path}: the weights of {variable.path} are not finite. Choose an earlier checkpoint."
            )


def _is_finite(values: np.ndarray) -> bool:
    return not np.issubdtype(values.dtype, np.floating) or bool(np.isfinite(values).all())


def _fill(model: FasterRCNN, tree: Tree) -> None:
    """Assigns the arrays in a file to the model's variables; raises `ModelError` if they do not match."""
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


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
