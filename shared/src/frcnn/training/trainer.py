"""Trains a detector, from a checked spec to checkpoints. Start reading at `_train`."""

import contextlib
import dataclasses
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from frcnn.data.input.dataset import Dataset, training_dataset, validation_dataset
from frcnn.distributed.world import RankInfo, World, join
from frcnn.errors import DataError, RunError
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files.checkpoint import TrainingRecord
from frcnn.training.averaging import AveragedWeights
from frcnn.training.callbacks.checkpoints import Checkpoints
from frcnn.training.callbacks.early_stopping import EarlyStop
from frcnn.training.callbacks.progress import NanGuard, Validation
from frcnn.training.callbacks.rank_zero import Reports
from frcnn.training.callbacks.training_log import TrainingLog
from frcnn.training.compile import prepare, restore
from frcnn.training.devices import computing_devices, take_share
from frcnn.training.model_parallel import plan_placement, spread
from frcnn.training.run_folder import only_training_in
from frcnn.training.starting_point import Start, begin, choose_start, counted
from frcnn.training.statistics_remarks import remark_on_statistics
from frcnn.training.synchronize import EpochMeans, facts, sync_initial_state
from frcnn.training.unvalidated import lacks_validation, with_validation

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """Result of a training.

    Attributes:
        checkpoint: Last checkpoint; `None` on other ranks than 0.
        best: Checkpoint of highest mAP; `None` without validation and on other ranks than 0.
        epochs: Number of completed epochs.
        loss: Mean loss of the last epoch; NaN if it is unknown.
        mean_ap: mAP after the last epoch; `None` without validation.
    """

    checkpoint: Path | None
    best: Path | None
    epochs: int
    loss: float
    mean_ap: float | None

    @classmethod
    def of(cls, record: TrainingRecord, checkpoint: Path, best: Path | None = None) -> "TrainResult":
        """Creates the result of a training that was already complete.

        Args:
            record: Training record of the checkpoint.
            checkpoint: Last checkpoint.
            best: Best checkpoint, if there is one.

        Returns:
            Result with the metrics of the record.
        """
        metrics = record.metrics
        return cls(checkpoint, best, record.epoch, metrics.get("loss", math.nan), metrics.get("mAP"))

    def metrics(self) -> dict[str, float]:
        """Returns the values to show on the page of a run: loss, epochs and, if known, mAP."""
        found = {"loss": self.loss, "epochs": float(self.epochs)}
        return found if self.mean_ap is None else {**found, "mAP": self.mean_ap}


def train(
    spec: "Experiment",
    results_dir: Path,
    *,
    key: str = "",
    amp: bool = False,
    strict: bool = False,
    world: World | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> TrainResult:
    """Trains the detector that a spec describes, together with the other ranks if there are any.

    Args:
        spec: Checked spec.
        results_dir: Results folder, created if missing. Rank 0 writes the files that docs/training.md lists.
        key: Key that seals the checkpoints (`.tlt`); without it they are plain Keras archives (`.keras`).
        amp: Whether layers compute in 16 bits (bfloat16 on a CPU, float16 on a GPU). Weights, box
            arithmetic, losses and files are always float32.
        strict: Whether an unreadable image ends the run at once instead of being skipped.
        world: Ranks; default: those that a launcher started, or this process alone.
        callbacks: Keras callbacks that run after validation and before the checkpoint. One may stop the
            training, which makes that checkpoint the last.

    Returns:
        Result of the training.

    Raises:
        DataError: There is no training data.
        ModelError: The model to start from cannot be used.
        PlaceBusyError: Another training writes to `results_dir`.
        RunError: The loss is not finite, the disk is full, another rank is gone, or all epochs are done.
            Earlier checkpoints are kept.
        UsageError: The spec names a model file that does not exist.
    """
    world = join() if world is None else world
    with only_training_in(results_dir, world.place):
        return _train(spec, results_dir, key, amp=amp, strict=strict, world=world, callbacks=callbacks)


def _train(
    spec: "Experiment",
    results_dir: Path,
    key: str,
    *,
    amp: bool,
    strict: bool,
    world: World,
    callbacks: Sequence[keras.callbacks.Callback],
) -> TrainResult:
    here = world.place
    if here.size > 1:
        take_share(here, len(spec.training_config.model_parallelism) or 1)
    set_up(spec.random_seed + here.rank)
    start = choose_start(spec)
    strict = strict and here.rank == 0  # rank 0 checks all images
    data = training_dataset(spec, rank=here.rank, world=here.size, strict=strict)
    validation = _validation(spec, here, strict)
    model, saved, state = begin(spec, start, key)
    model = _spread(model, spec.training_config.model_parallelism)
    steps = data.steps_per_epoch
    record = counted(saved, steps)
    if record.epoch:
        data = training_dataset(spec, rank=here.rank, world=here.size, start_epoch=record.epoch)
    unvalidated = lacks_validation(spec, record)
    if record.epoch >= spec.training_config.num_epochs and not unvalidated:
        _complete(spec, results_dir, key, record, start, here)
        raise RunError(
            f"{start.path}: all of its {record.epoch} epochs are done. "
            "Raise training_config.num_epochs to continue."
        )
    prepare(model, spec, steps * spec.training_config.num_epochs, here, amp=amp)
    if record.epoch:
        seed = spec.random_seed + here.rank
        restore(model, state, record.step, recounted=record is not saved, seed=seed)
    log.info("%d training images, %d steps per epoch, %d parameters", data.size, steps, model.count_params())
    if here.rank == 0:
        remark_on_statistics(model, data.size, spec.training_config.batch_size_per_gpu)
    validator = Validation(spec, validation, world) if validation else None
    stop = _early_stop(spec, record)
    if stop is not None and stop.over:
        log.warning(
            "%s: early stopping ended this training after epoch %d. "
            "Raise early_stopping.patience to continue.",
            start.path,
            record.epoch,
        )
        _complete(spec, results_dir, key, record, start, here)
        return TrainResult.of(record, start.path)
    early: list[keras.callbacks.Callback] = [
        NanGuard(steps),
        *([EpochMeans(world)] if here.size > 1 else []),
        *([AveragedWeights(model.weight_averages)] if model.weight_averages is not None else []),
        *([stop] if stop else []),
    ]
    with world.guard():
        if here.size > 1:
            sync_initial_state(model, world, facts(spec, data, validation, model, record))
        if unvalidated and validator is not None:
            log.info("%s was saved but not validated; validating it now", start.path)
            record = with_validation(record, validator.validate(model, record.epoch))
        reports = None
        if here.rank == 0:
            reports = Reports(
                spec,
                results_dir,
                key,
                steps=steps,
                processes=here.size,
                validator=validator,
                record=record,
                start=start,
            )
        losses = _fit(model, spec, data, record, early, validator, callbacks, reports)
        world.barrier()  # launchers end the run with its first process, so all wait until rank 0 has written
    files = reports.checkpoints if reports else None
    return TrainResult(
        checkpoint=files.latest if files else None,
        best=files.best if files else None,
        epochs=record.epoch + len(losses),
        loss=losses[-1] if losses else math.nan,
        mean_ap=validator.report.mean_ap if validator and validator.report else None,
    )


def _complete(
    spec: "Experiment", folder: Path, key: str, record: TrainingRecord, start: Start, here: RankInfo
) -> None:
    """Finishes the folder of a run that was killed after its last checkpoint."""
    if here.rank == 0 and start.path.resolve().parent == folder.resolve():
        rows = TrainingLog(folder, record.history)
        Checkpoints(spec, folder, key, rows, start=record, resumed=start.path).complete()


def _fit(
    model: FasterRCNN,
    spec: "Experiment",
    data: Dataset,
    record: TrainingRecord,
    early: Sequence[keras.callbacks.Callback],
    validator: Validation | None,
    late: Sequence[keras.callbacks.Callback],
    reports: Reports | None,
) -> list[float]:
    """Trains the remaining epochs.

    Args:
        model: Compiled model.
        spec: Spec of the run.
        data: Training set.
        record: State at the start.
        early: Callbacks that run before validation.
        validator: Validation callback, if there is a validation set.
        late: Callbacks that run after validation and before the epoch is saved with its result.
        reports: Checkpoints and logs of rank 0; `None` on other ranks.

    Returns:
        Mean loss of each epoch.
    """
    callbacks = [*early, *([validator] if validator else []), *late]
    with contextlib.ExitStack() as stack:
        if reports is not None:
            stack.enter_context(reports)
            # The trained epoch is saved first, because validation takes long and may be interrupted.
            unvalidated = [reports.checkpoints.before_validation] if validator else []
            callbacks = [*early, *unvalidated, *callbacks[len(early) :], *reports.callbacks]
        history = model.fit(
            data.batches,
            steps_per_epoch=data.steps_per_epoch,
            epochs=spec.training_config.num_epochs,
            initial_epoch=record.epoch,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )
    return [float(loss) for loss in history.history.get("loss", [])]


def set_up(seed: int) -> None:
    """Seeds all random generators and makes equal runs produce equal bits.

    `benchmarks.exactness` measures the cost.

    Args:
        seed: Random seed of this rank.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def _spread(model: FasterRCNN, fractions: Sequence[float]) -> FasterRCNN:
    if not fractions:
        return model
    devices = computing_devices()
    log.info("Layers are spread over %d devices: %s", len(fractions), ", ".join(devices))
    return spread(model, plan_placement(model, fractions, devices))


def _early_stop(spec: "Experiment", record: TrainingRecord) -> EarlyStop | None:
    settings = spec.training_config.early_stopping
    if settings is None:
        return None
    return EarlyStop(settings, [row["loss"] for row in record.history if "loss" in row])


def _validation(spec: "Experiment", here: RankInfo, strict: bool) -> Dataset | None:
    """Creates this rank's share of the validation set; `None`, with a warning, if there is none."""
    batch_size = spec.evaluation_config.batch_size
    try:
        return validation_dataset(spec, rank=here.rank, world=here.size, batch_size=batch_size, strict=strict)
    except DataError as error:
        if (
            spec.dataset_config.validation_fold is not None
            or spec.dataset_config.validation_data_source is not None
        ):
            raise
        log.warning("No validation during training: %s", error)
        return None
