"""Chooses and loads the model that a training starts from: resume, else retrain, else fresh."""

import dataclasses
import logging
from pathlib import Path
from typing import Literal

from frcnn.errors import ModelError, UsageError
from frcnn.model.build import build
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files.checkpoint import OptimizerState, check_finite, load_checkpoint, load_model
from frcnn.model.files.trained_detector import check_fits
from frcnn.model.files.training_record import TrainingRecord
from frcnn.model.qat.insert import is_qat
from frcnn.settings.training import StartSettings, TrainingRun
from frcnn.training.changed_settings import apply_changes
from frcnn.training.pretrained.load import load_pretrained
from frcnn.training.retrain import for_retraining, quantized
from frcnn.training.run_folder import find_checkpoint

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Start:
    """Starting point of a training.

    Attributes:
        kind: How to start. `fresh` uses random or pretrained weights.
        path: Model to resume or retrain; unused for a fresh start.
    """

    kind: Literal["resume", "retrain", "fresh"]
    path: Path = Path()

    def check(self, model: FasterRCNN, record: TrainingRecord, run: TrainingRun) -> None:
        """Checks that a model fits the spec, and logs settings that have changed.

        Args:
            model: Detector from `path`.
            record: Training record of the file.
            run: Settings of the training.

        Raises:
            ModelError: The spec does not fit the model; the message gives both values.
        """
        check_fits(model, run.model.geometry, self.path)
        if self.kind == "resume" and record.arch != run.model.arch:
            raise ModelError(
                f"{self.path} is a {record.arch} model, but model_config.arch is {run.model.arch}. "
                "Resume with the same architecture, or start a new training."
            )
        self._check_quantization(is_qat(model), run.quantization.enabled)
        if self.kind == "resume":
            apply_changes(record, run.spec_text, self.path)

    def _check_quantization(self, found: bool, wanted: bool) -> None:
        if found and not wanted:
            raise ModelError(
                f"{self.path} is a model of quantization-aware training, but the spec says "
                "training_config.enable_qat: false. Set it to true, or start from the float model."
            )
        if wanted and not found and self.kind == "resume":
            raise ModelError(
                f"{self.path} is a float model, but the spec says training_config.enable_qat: true. "
                "Set it to false, or name the file in retrain_pruned_model instead of resume_from_model."
            )


def begin(
    run: TrainingRun, start: Start, key: str
) -> tuple[FasterRCNN, TrainingRecord, OptimizerState | None]:
    """Loads or builds the model to train.

    Args:
        run: Settings of the training.
        start: Starting point.
        key: Key of a sealed file; empty for plain ones.

    Returns:
        Tuple of model, training record, and optimizer state. The record is at epoch 0 and the state is
        `None` unless the training is resumed.

    Raises:
        ModelError: The file cannot be read, or does not fit the spec.
        NotFiniteError: The weights of the model to resume from or to retrain are not finite.
    """
    arch = run.model.arch
    if start.kind == "resume":
        model, record, state = load_checkpoint(start.path, key)
        start.check(model, record, run)
        check_finite(model, start.path)
        log.info("Resuming after epoch %d of %s", record.epoch, start.path)
        return model, record, state
    if start.kind == "retrain":
        model, record = load_model(start.path, key)
        start.check(model, record, run)
        check_finite(model, start.path)
        log.info("Retraining %s", start.path)
        model = for_retraining(model, run, start.path)
        return model, TrainingRecord(arch, model.geometry.class_names), None
    log.info("Starting from random weights, seed %d", run.seed)
    model = build(run.model)
    if run.start.pretrained_weights:
        load_pretrained(model, Path(run.start.pretrained_weights), key)
    model = quantized(model, run.quantization)
    return model, TrainingRecord(arch, model.geometry.class_names), None


def counted(record: TrainingRecord, steps: int) -> TrainingRecord:
    """Converts the step counter of a record to the current number of steps per epoch.

    Batch size, number of images and number of processes change the steps per epoch.

    Args:
        record: Training record.
        steps: Current steps per epoch.

    Returns:
        Record whose step counter is its epoch times `steps`.
    """
    now = record.epoch * steps
    if record.step == now:
        return record
    log.warning("Steps per epoch changed to %d: step counter adjusted from %d to %d", steps, record.step, now)
    return dataclasses.replace(record, step=now)


def choose_start(settings: StartSettings) -> Start:
    """Chooses the starting point that the spec asks for.

    Args:
        settings: Model files named in the spec.

    Returns:
        Starting point. Its file exists.

    Raises:
        UsageError: The spec names a file that does not exist.
        ModelError: The spec names a folder without a checkpoint.
    """
    kinds: tuple[tuple[Literal["resume", "retrain"], str, str], ...] = (
        ("resume", "resume_from_model", settings.resume_from_model),
        ("retrain", "retrain_pruned_model", settings.retrain_pruned_model),
    )
    for kind, field, name in kinds:
        if name:
            path = find_checkpoint(Path(name), "latest" if kind == "resume" else "best")
            if not path.is_file():
                raise UsageError(
                    f"training_config.{field}: {name}: no such file. Correct the path, or remove the field."
                )
            return Start(kind, path)
    return Start("fresh")
