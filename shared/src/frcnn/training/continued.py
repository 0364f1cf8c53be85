"""Training that resumes from its own checkpoints.

Losing the machine costs at most one checkpoint interval.
"""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.errors import NotFiniteError
from frcnn.model.files.checkpoint import read_record
from frcnn.spec.overrides import with_training
from frcnn.training.run_folder import checkpoint_in, epoch_of, epochs_of_this_run
from frcnn.training.trainer import TrainResult, train
from frcnn.training.unvalidated import lacks_validation

if TYPE_CHECKING:
    import keras

    from frcnn.spec.schema.experiment import Experiment

log = logging.getLogger(__name__)

# The newest checkpoint, to resume from, and the previous one.
_KEPT_CHECKPOINTS = 2


def train_or_resume(
    spec: "Experiment",
    folder: Path,
    *,
    key: str = "",
    amp: bool = False,
    callbacks: Sequence["keras.callbacks.Callback"] = (),
) -> TrainResult:
    """Trains like `frcnn.training.trainer.train`, resuming from a checkpoint in the folder.

    It resumes from the newest checkpoint whose weights are finite. Without one, it trains from the start. If
    all epochs are done and validated, it only returns the result.

    Args:
        spec: Checked spec. A start named in it applies only if `folder` has no checkpoint.
        folder: Checkpoint folder, used by this training only.
        key: Key of the sealed checkpoints; empty for plain ones.
        amp: Whether layers compute in 16 bits.
        callbacks: Callbacks that run after validation.

    Returns:
        Result of the training.

    Raises:
        FrcnnError: See `frcnn.training.trainer.train`.
    """
    spec = _keeping_few(spec)
    newest = checkpoint_in(folder, "latest")
    if newest is None:
        return train(spec, folder, key=key, amp=amp, callbacks=callbacks)
    all_trained = epoch_of(newest.name) >= spec.training_config.num_epochs
    if all_trained and not lacks_validation(spec, read_record(newest, key)):
        return finished(folder, key) or train(spec, folder, key=key, amp=amp, callbacks=callbacks)
    for checkpoint in epochs_of_this_run(folder):
        epoch = epoch_of(checkpoint.name)
        log.info("Resuming from %s, %d of %d epochs", checkpoint, epoch, spec.training_config.num_epochs)
        try:
            resumed = with_training(spec, epochs=0, retrain=None, resume=checkpoint)
            return train(resumed, folder, key=key, amp=amp, callbacks=callbacks)
        except NotFiniteError as error:
            log.warning("%s", error)
    return train(spec, folder, key=key, amp=amp, callbacks=callbacks)


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


def _keeping_few(spec: "Experiment") -> "Experiment":
    if spec.training_config.keep_checkpoints:
        return spec
    training = dataclasses.replace(spec.training_config, keep_checkpoints=_KEPT_CHECKPOINTS)
    return dataclasses.replace(spec, training_config=training)
