"""Model files: graph, weights, optimizer state and what is needed to go on, in one file.

A file is a Keras archive (a zip) with one more member, `frcnn.json`. With a key it is sealed and ends
in `.tlt`; without one it is the plain archive and ends in `.keras`. Nothing in it is ever executed.
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
from frcnn.model.files.config_guard import guarded, restore_initializers, room_for
from frcnn.model.files.hdf5_tree import Tree
from frcnn.model.files.variable_paths import owners_in
from frcnn.model.keras_detector import KerasDetector
from frcnn.model.precision import saved_as_float32
from frcnn.sealing.sealed_file import created, opened

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

log = logging.getLogger(__name__)

_OPTIMIZER = "optimizer/"
# What a model's own counters and seeds take beside its weights.
_SPARE_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class TrainingRecord:
    """Where training stood: `epoch` epochs and `step` steps done, by a spec that reads `spec_text`.

    `history` has a row an epoch: its number, seconds, learning_rate, losses, mAP where validated.
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
    """What a file says of an optimizer.

    Attributes:
        kind: Its class, such as `Adam`; of one that scales losses, the class within.
        groups: Its variables by path: `optimizer/vars`, and `optimizer/inner_optimizer/vars` of the one
            within one that scales losses.
    """

    kind: str
    groups: Mapping[str, list[np.ndarray]]


class Snapshots:
    """Takes the state of a model between two steps, for a writer that may be slower than the next one."""

    def __init__(self, model: FasterRCNN) -> None:
        """The model is built, and compiled if its optimizer is to be kept; both stay as they are."""
        with saved_as_float32(model):
            self._config = json.dumps(keras.saving.serialize_keras_object(model))
        self._owners = owners_in(model)

    def take(self) -> "Snapshot":
        """All variables as they are now.

        The arrays share TensorFlow's memory, which it does not write to while others read it: it gives a
        variable that is assigned new memory instead.
        """
        # A variable may have two owners: what scales losses counts the slots of what it wraps as its own.
        arrays = {id(each): _shared(each) for owner in self._owners for each in owner.variables}
        groups = [
            Group(owner.path, owner.name, [arrays[id(each)] for each in owner.variables])
            for owner in self._owners
        ]
        return Snapshot(self._config, groups)


@dataclasses.dataclass(frozen=True, eq=False)
class Snapshot:
    """A model's configuration and numbers at one moment."""

    config: str
    groups: list[Group]

    def not_finite(self) -> str | None:
        """Names a part of the model with a number that is NaN or infinite; None if all are finite."""
        for group in self.groups:
            for array in group.arrays:
                if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
                    return group.name or group.path
        return None

    def save(self, path: Path, record: TrainingRecord, key: str = "") -> None:
        """Writes them to `path`, whole or not at all; sealed if there is a key. Any thread may call it."""
        with created(path, key, "keras") as plain:
            text = json.dumps(dataclasses.asdict(record), indent=1)
            write_archive(plain, self.config, self.groups, text, keras.__version__)


def _shared(variable: keras.Variable) -> np.ndarray:
    # `numpy()` would copy, which takes longer than a step may be held up.
    return np.asarray(variable.value.read_value())


def save_model(model: FasterRCNN, path: Path, record: TrainingRecord, key: str = "") -> None:
    """Writes model and record to `path`, whole or not at all; sealed if there is a key."""
    Snapshots(model).take().save(path, record, key)


def load_model(path: Path, key: str = "") -> tuple[FasterRCNN, TrainingRecord]:
    """The detector in a file, and how far its training was; raises as `load_checkpoint`."""
    return load_checkpoint(path, key)[:2]


def load_checkpoint(path: Path, key: str = "") -> tuple[FasterRCNN, TrainingRecord, OptimizerState | None]:
    """The detector in a file, how far its training was, and the optimizer's state if there is one.

    Args:
        path: Sealed or plain; the contents decide.
        key: Of a sealed file.

    Raises:
        ModelError: Missing, broken, sealed with another key, or not one of ours.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such model file; give one with -m or in the spec")
    with opened(path, key, "keras") as plain:
        return _load_plain(plain, path)


def read_record(path: Path, key: str = "") -> TrainingRecord:
    """How far the training of a model file was, without building the model.

    Raises:
        ModelError: As `load_model`.
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
    except Exception as error:  # there is nothing that Keras might not raise about a wrong configuration
        raise ModelError(f"{shown}: damaged, or written by a newer version ({_first_line(error)})") from error
    return model, record, _optimizer_state(config, tree)


def _built(config: Any, tree: Tree) -> FasterRCNN:
    """The detector that a configuration describes; its weights are zero."""
    safe, initializers = guarded(config)
    size = sum(array.nbytes for path, array in tree.arrays.items() if not path.startswith(_OPTIMIZER))
    with room_for(size + _SPARE_BYTES):
        model = keras.saving.deserialize_keras_object(safe, safe_mode=True)
    if not isinstance(model, FasterRCNN):
        raise ModelError(f"holds a {type(model).__name__}, not a detector")
    restore_initializers([*model.features.layers, *model.roi_head.layers], initializers)
    return model


def fill(model: FasterRCNN, tree: Tree) -> None:
    """Puts the file's numbers into the model's variables.

    Raises:
        ModelError: They are not those of this model.
    """
    for owner in owners_in(model):
        arrays = tree.numbered(owner.path)
        if [array.shape for array in arrays] != [tuple(each.shape) for each in owner.variables]:
            raise ModelError(f"damaged: the weights of {owner.name} are not those that its layer has")
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
    """The detector in a file with the spec's settings for `mode`, `evaluation` or `inference`.

    Raises:
        ModelError: As `load_model`; or the spec wants other classes or another input size.
    """
    model, _ = load_model(path, key)
    check_fits(model, spec, path)
    config = spec.inference_config if mode == "inference" else spec.evaluation_config
    return KerasDetector(model, detection_settings(config))


def check_fits(model: FasterRCNN, spec: "Experiment", path: Path) -> None:
    """Raises ModelError, both sides named, if the spec wants other classes or another input size."""
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
