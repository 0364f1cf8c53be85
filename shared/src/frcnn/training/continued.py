"""Training that goes on from its own checkpoints, so that a lost machine costs at most one interval."""

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.errors import NotFiniteError
from frcnn.model.files.checkpoint import read_record
from frcnn.spec.overrides import with_training
from frcnn.training.run_folder import checkpoint_in, epoch_of, epochs_of_this_run
from frcnn.training.trainer import TrainResult, train
from frcnn.training.unvalidated import lacks_validation

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

log = logging.getLogger(__name__)

# The newest to go on from, and the one before it.
_KEPT_CHECKPOINTS = 2


def train_or_continue(spec: "Experiment", folder: Path, *, key: str = "", amp: bool = False) -> TrainResult:
    """Trains as `frcnn.training.trainer.train` does, or goes on from the newest checkpoint in `folder`.

    Args:
        spec: A checked spec; a start that it names counts only if `folder` has no checkpoint.
        folder: Checkpoints of this very training, and of no other.
        key: Of the checkpoints.
        amp: Whether layers compute in 16 bits.
    """
    spec = _keeping_few(spec)
    newest = checkpoint_in(folder, "latest")
    if newest is None:
        return train(spec, folder, key=key, amp=amp)
    all_trained = epoch_of(newest.name) >= spec.training_config.num_epochs
    if all_trained and not lacks_validation(spec, read_record(newest, key)):
        return finished(folder, key) or train(spec, folder, key=key, amp=amp)
    for checkpoint in epochs_of_this_run(folder):
        epoch = epoch_of(checkpoint.name)
        log.info("going on from %s, %d of %d epochs", checkpoint, epoch, spec.training_config.num_epochs)
        try:
            resumed = with_training(spec, epochs=0, retrain=None, resume=checkpoint)
            return train(resumed, folder, key=key, amp=amp)
        except NotFiniteError as error:
            log.warning("%s", error)
    return train(spec, folder, key=key, amp=amp)


def finished(folder: Path, key: str = "") -> TrainResult | None:
    """What the training whose checkpoints are in `folder` has come to; None if there are none."""
    newest = checkpoint_in(folder, "latest")
    if newest is None:
        return None
    best = checkpoint_in(folder, "best")
    return TrainResult.of(read_record(newest, key), newest, best if best != newest else None)


def _keeping_few(spec: "Experiment") -> "Experiment":
    if spec.training_config.keep_checkpoints:
        return spec
    training = dataclasses.replace(spec.training_config, keep_checkpoints=_KEPT_CHECKPOINTS)
    return dataclasses.replace(spec, training_config=training)
