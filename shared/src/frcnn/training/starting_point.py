"""What a training starts from: resume, then retrain, then fresh; the first that the spec names."""

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import keras
import numpy as np

from frcnn.errors import ModelError, NotFiniteError, UsageError
from frcnn.model.build import build
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files.checkpoint import (
    OptimizerState,
    TrainingRecord,
    check_fits,
    load_checkpoint,
    load_model,
)
from frcnn.model.qat.insert import is_qat
from frcnn.training.changed_settings import apply_changes
from frcnn.training.pretrained.load import load_pretrained
from frcnn.training.retrain import for_retraining, quantised
from frcnn.training.run_folder import find_checkpoint

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Start:
    """`path` is the model to resume or retrain; unused for a fresh start."""

    kind: Literal["resume", "retrain", "fresh"]
    path: Path = Path()

    def check(self, model: FasterRCNN, record: TrainingRecord, spec: "Experiment") -> None:
        """Names what has changed in the spec since; raises ModelError, both sides named, if it must not."""
        check_fits(model, spec, self.path)
        if self.kind == "resume" and record.arch != spec.model_config.arch:
            raise ModelError(
                f"{self.path}: is a {record.arch}; the spec's model_config.arch is {spec.model_config.arch}"
            )
        self._check_quantisation(is_qat(model), spec.training_config.enable_qat)
        if self.kind == "resume":
            apply_changes(record, spec, self.path)

    def _check_quantisation(self, found: bool, wanted: bool) -> None:
        if found and not wanted:
            raise ModelError(
                f"{self.path}: a model of quantisation-aware training; the spec says "
                "training_config.enable_qat: false; set it to true, or start from the float model"
            )
        if wanted and not found and self.kind == "resume":
            raise ModelError(
                f"{self.path}: a float model; the spec says training_config.enable_qat: true; "
                "set it to false, or name the file in retrain_pruned_model instead of resume_from_model"
            )


def begin(
    spec: "Experiment", start: Start, key: str
) -> tuple[FasterRCNN, TrainingRecord, OptimizerState | None]:
    """The model to train on, how far it is, and its optimizer's state if there is one.

    Raises:
        ModelError: The file cannot be read, or the spec wants another network.
    """
    arch = spec.model_config.arch
    if start.kind == "resume":
        model, record, state = load_checkpoint(start.path, key)
        start.check(model, record, spec)
        _check_finite(model, start.path)
        log.info("resuming after epoch %d of %s", record.epoch, start.path)
        return model, record, state
    if start.kind == "retrain":
        model, record = load_model(start.path, key)
        start.check(model, record, spec)
        log.info("retraining %s", start.path)
        model = for_retraining(model, spec, start.path)
        return model, TrainingRecord(arch, model.geometry.class_names), None
    log.info("starting from random weights, seed %d", spec.random_seed)
    model = build(spec)
    if spec.training_config.pretrained_weights:
        load_pretrained(model, Path(spec.training_config.pretrained_weights), key)
    model = quantised(model, spec)
    return model, TrainingRecord(arch, model.geometry.class_names), None


def _check_finite(model: FasterRCNN, path: Path) -> None:
    for variable in model.weights:
        values = keras.ops.convert_to_numpy(variable)
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            raise NotFiniteError(
                f"{path}: the weights of {variable.path} are not finite; resume from an earlier checkpoint"
            )


def counted(record: TrainingRecord, steps: int) -> TrainingRecord:
    """The record in epochs of `steps`: another batch size or number of images or processes changes it."""
    now = record.epoch * steps
    if record.step == now:
        return record
    log.warning("an epoch has %d steps now: of the steps done %d count as %d", steps, record.step, now)
    return dataclasses.replace(record, step=now)


def choose_start(spec: "Experiment") -> Start:
    """The start that the spec asks for.

    Raises:
        UsageError: It names a file that is not there.
    """
    config = spec.training_config
    kinds: tuple[tuple[Literal["resume", "retrain"], str, str], ...] = (
        ("resume", "resume_from_model", config.resume_from_model),
        ("retrain", "retrain_pruned_model", config.retrain_pruned_model),
    )
    for kind, field, name in kinds:
        if name:
            path = find_checkpoint(Path(name), "latest" if kind == "resume" else "best")
            if not path.is_file():
                raise UsageError(
                    f"training_config.{field}: {name}: no such file; correct the path or leave the field out"
                )
            return Start(kind, path)
    return Start("fresh")
