"""Trains a detector, from its settings to checkpoints. Start reading at `_train`."""

import contextlib
import dataclasses
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

from frcnn.distributed.world import RankInfo, World, join
from frcnn.errors import RunError
from frcnn.model.files.training_record import TrainingRecord
from frcnn.settings.training import TrainingRun
from frcnn.training.averaging import AveragedWeights
from frcnn.training.callbacks.early_stopping import EarlyStop
from frcnn.training.callbacks.nan_guard import NanGuard
from frcnn.training.callbacks.rank_zero import Reports
from frcnn.training.callbacks.record_guard import RecordGuard
from frcnn.training.callbacks.validation import Validation
from frcnn.training.compile import prepare, restore
from frcnn.training.devices import run_operations_in_turn, take_share
from frcnn.training.memory_need import choose_convolutions, require_memory
from frcnn.training.opened_run import OpenedRun, open_run
from frcnn.training.result import TrainResult
from frcnn.training.run_folder import only_training_in
from frcnn.training.statistics_warnings import remark_on_statistics
from frcnn.training.synchronize import EpochMeans, facts, sync_initial_state
from frcnn.training.unvalidated import with_validation

log = logging.getLogger(__name__)


def train(
    run: TrainingRun,
    results_dir: Path,
    *,
    key: str = "",
    amp: bool = False,
    strict: bool = False,
    world: World | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> TrainResult:
    """Trains a detector, together with the other ranks if there are any.

    Args:
        run: Settings of the training.
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
        DataError: There is no training data, or a record file was replaced during the training.
        ModelError: The model to start from cannot be used.
        PlaceBusyError: Another training writes to `results_dir`.
        RunError: The loss is not finite, the disk is full, another rank is gone, or all epochs are done.
            Earlier checkpoints are kept.
        UsageError: The spec names a model file that does not exist.
    """
    world = join() if world is None else world
    with only_training_in(results_dir, world.place):
        return _train(run, results_dir, key, amp=amp, strict=strict, world=world, callbacks=callbacks)


def _train(
    run: TrainingRun,
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
        take_share(here, len(run.parallelism) or 1)
    if not run.parallelism:
        run_operations_in_turn(here)
    set_up(run.seed + here.rank)
    job = open_run(run, results_dir, key, here, strict=strict)
    if job.record.epoch >= run.epochs and not job.unvalidated:
        job.complete(here)
        raise RunError(
            f"{job.start.path}: all of its {job.record.epoch} epochs are done. "
            "Raise training_config.num_epochs to continue."
        )
    _prepare(job, here, amp=amp)
    job = dataclasses.replace(job, state=None)  # frees the memory
    stop = _early_stop(run, job.record)
    if stop is not None and stop.over:
        log.warning(
            "%s: early stopping ended this training after epoch %d. "
            "Raise early_stopping.patience to continue.",
            job.start.path,
            job.record.epoch,
        )
        job.complete(here)
        return TrainResult.of(job.record, job.start.path)
    return _run_epochs(job, world, stop, callbacks)


def _prepare(job: OpenedRun, here: RankInfo, *, amp: bool) -> None:
    """Compiles the model, and restores its state if the training is resumed."""
    run, record, steps = job.run, job.record, job.data.steps_per_epoch
    prepare(job.model, run, steps * run.epochs, here, amp=amp)
    batch, rois = run.data.batch_size, run.losses.roi_mini_batch
    require_memory(job.model, batch, rois, here)
    choose_convolutions(job.model, batch, rois, here)
    if record.epoch:
        seed = run.seed + here.rank
        restore(job.model, job.state, record.step, recounted=record is not job.saved, seed=seed)
    parameters = job.model.count_params()
    log.info("%d training images, %d steps per epoch, %d parameters", job.data.size, steps, parameters)
    if here.rank == 0:
        remark_on_statistics(job.model, job.data.size, run.data.batch_size)


def _run_epochs(
    job: OpenedRun, world: World, stop: EarlyStop | None, callbacks: Sequence[keras.callbacks.Callback]
) -> TrainResult:
    """Trains the remaining epochs together with the other ranks."""
    run, model, here = job.run, job.model, world.place
    validator = None
    if job.validation is not None:
        validator = Validation(run.validation, run.epochs, job.validation, world)
    records = RecordGuard(job.data, job.validation)
    early: list[keras.callbacks.Callback] = [
        records,
        NanGuard(job.data.steps_per_epoch),
        *([EpochMeans(world)] if here.size > 1 else []),
        *([AveragedWeights(model.weight_averages)] if model.weight_averages is not None else []),
        *([stop] if stop else []),
    ]
    with world.guard():
        if here.size > 1:
            sync_initial_state(model, world, facts(run, job.data, job.validation, model, job.record))
        if job.unvalidated and validator is not None:
            log.info("%s was saved but not validated; validating it now", job.start.path)
            report = validator.validate(model, job.record.epoch)
            job = dataclasses.replace(job, record=with_validation(job.record, report))
        reports = _reports(job, here, validator)
        try:
            losses = _fit(job, early, validator, callbacks, reports)
        except tf.errors.OpError:
            records.check()  # the reason why records could not be read, if it fails
            raise
        world.barrier()  # launchers end the run with its first process, so all wait until rank 0 has written
    files = reports.checkpoints if reports else None
    return TrainResult(
        checkpoint=files.latest if files else None,
        best=files.best if files else None,
        epochs=job.record.epoch + len(losses),
        loss=losses[-1] if losses else math.nan,
        mean_ap=validator.report.mean_ap if validator and validator.report else None,
    )


def _reports(job: OpenedRun, here: RankInfo, validator: Validation | None) -> Reports | None:
    """Creates checkpoints and logs on rank 0; `None` on other ranks."""
    if here.rank:
        return None
    return Reports(
        job.run,
        job.folder,
        job.key,
        steps=job.data.steps_per_epoch,
        processes=here.size,
        validator=validator,
        record=job.record,
        start=job.start,
    )


def _fit(
    job: OpenedRun,
    early: Sequence[keras.callbacks.Callback],
    validator: Validation | None,
    late: Sequence[keras.callbacks.Callback],
    reports: Reports | None,
) -> list[float]:
    """Trains the remaining epochs.

    Args:
        job: Data, model and record at the start.
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
        history = job.model.fit(
            job.data.batches,
            steps_per_epoch=job.data.steps_per_epoch,
            epochs=job.run.epochs,
            initial_epoch=job.record.epoch,
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


def _early_stop(run: TrainingRun, record: TrainingRecord) -> EarlyStop | None:
    if run.early_stopping is None:
        return None
    return EarlyStop(run.early_stopping, [row["loss"] for row in record.history if "loss" in row])
