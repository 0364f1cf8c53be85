"""Training that resumes from its own checkpoints.

Losing the machine costs at most one checkpoint interval.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.errors import NotFiniteError
from frcnn.model.files.training_record import read_record
from frcnn.settings.training import TrainingRun
from frcnn.training.result import TrainResult
from frcnn.training.run_folder import checkpoint_in, epoch_of, epochs_of_this_run
from frcnn.training.trainer import train
from frcnn.training.unvalidated import lacks_validation

if TYPE_CHECKING:
    import keras

    from frcnn.distributed.world import World

log = logging.getLogger(__name__)


def train_or_resume(
    run: TrainingRun,
    folder: Path,
    *,
    key: str = "",
    amp: bool = False,
    strict: bool = False,
    world: "World | None" = None,
    callbacks: Sequence["keras.callbacks.Callback"] = (),
) -> TrainResult:
    """Trains like `frcnn.training.trainer.train`, resuming from a checkpoint in the folder.

    It resumes from the newest checkpoint whose weights are finite. Without one, it trains from the start. If
    all epochs are done and validated, it only returns the result.

    Args:
        run: Settings of the training. A start named in them applies only if `folder` has no checkpoint.
        folder: Checkpoint folder, used by this training only.
        key: Key of the sealed checkpoints; empty for plain ones.
        amp: Whether layers compute in 16 bits.
        strict: Whether an unreadable image ends the run at once instead of being skipped.
        world: Ranks; default: those that a launcher started, or this process alone.
        callbacks: Callbacks that run after validation.

    Returns:
        Result of the training.

    Raises:
        FrcnnError: See `frcnn.training.trainer.train`.
    """

    def trained(run: TrainingRun) -> TrainResult:
        return train(run, folder, key=key, amp=amp, strict=strict, world=world, callbacks=callbacks)

    newest = checkpoint_in(folder, "latest")
    if newest is None:
        return trained(run)
    all_trained = epoch_of(newest.name) >= run.epochs
    if all_trained and not lacks_validation(run, read_record(newest, key)):
        return finished(folder, key) or trained(run)
    for checkpoint in epochs_of_this_run(folder):
        epoch = epoch_of(checkpoint.name)
        log.info("Resuming from %s, %d of %d epochs", checkpoint, epoch, run.epochs)
        try:
            return trained(run.resumed_from(checkpoint))
        except NotFiniteError as error:
            log.warning("%s", error)
    return trained(run)


def finished(folder: Path, key: str = "") -> TrainResult | None:
    """Reads the result of a training from its newest checkpoint.

    Args:
        folder: Checkpoint folder.
        key: Key of the sealed checkpoints; empty for plain ones.

    Returns:
        Result of the training, or `None` without checkpoints.
    """
    newest = checkpoint_in(folder, "latest")
    if newest is None:
        return None
    best = checkpoint_in(folder, "best")
    return TrainResult.of(read_record(newest, key), newest, best if best != newest else None)
