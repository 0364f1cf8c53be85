"""Training that goes on from its own checkpoints, so that a lost machine costs at most one interval."""

import dataclasses
import logging
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.model.checkpoint import load_model
from frcnn.spec.overrides import with_training
from frcnn.train.trainer import TrainResult, train

if TYPE_CHECKING:
    from frcnn.spec.config import Experiment

log = logging.getLogger(__name__)

# The newest to go on from, and the one before it.
_KEPT_CHECKPOINTS = 2
_EPOCH = re.compile(r"\.epoch_(\d+)\.(?:tlt|keras)$")


def train_or_continue(spec: "Experiment", folder: Path, *, key: str = "") -> TrainResult:
    """Trains as `frcnn.train.trainer.train` does, or goes on from the newest checkpoint in `folder`.

    Args:
        spec: A checked spec; a start that it names counts only if `folder` has no checkpoint.
        folder: Checkpoints of this very training, and of no other.
        key: Of the checkpoints.
    """
    spec = _keeping_few(spec)
    epoch, newest = newest_checkpoint(folder)
    if newest is None:
        return train(spec, folder, key=key)
    log.info("going on from %s, %d of %d epochs", newest, epoch, spec.training_config.num_epochs)
    if epoch >= spec.training_config.num_epochs:
        return _result(folder, newest, epoch, key)
    resumed = with_training(spec, epochs=0, retrain=None, resume=newest)
    return train(resumed, folder, key=key)


def newest_checkpoint(folder: Path) -> tuple[int, Path | None]:
    """The checkpoint of the highest epoch in `folder` and that epoch; 0 and None if there is none."""
    found = [(epoch_of(path.name), path) for path in folder.glob("*") if epoch_of(path.name)]
    return max(found) if found else (0, None)


def epoch_of(name: str) -> int:
    """The epoch after which a checkpoint was written, by its name; 0 if it is no checkpoint of an epoch."""
    match = _EPOCH.search(name)
    return int(match[1]) if match else 0


def _keeping_few(spec: "Experiment") -> "Experiment":
    if spec.training_config.keep_checkpoints:
        return spec
    training = dataclasses.replace(spec.training_config, keep_checkpoints=_KEPT_CHECKPOINTS)
    return dataclasses.replace(spec, training_config=training)


def _result(folder: Path, checkpoint: Path, epoch: int, key: str) -> TrainResult:
    """What a training that has nothing left to do came to."""
    metrics = load_model(checkpoint, key)[1].metrics
    best = folder / _EPOCH.sub(f".best{checkpoint.suffix}", checkpoint.name)
    return TrainResult(
        checkpoint=checkpoint,
        best=best if best.is_file() else None,
        epochs=epoch,
        loss=metrics.get("loss", math.nan),
        mean_ap=metrics.get("mAP"),
    )
