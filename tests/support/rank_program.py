"""Run as a program in each of several processes: trains, and leaves this rank's weights behind.

    python -m tests.support.rank_program SPEC FOLDER [OPTION ...]

Options: `draw-alike` gives every image of every rank the same random draws, so that how images are spread
over batches and ranks does not matter; `die-on-1` kills rank 1 after its first step, `fail-on-1` has it
raise a DataError there.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from frcnn.distributed.rank_outcome import Outcome
from frcnn.distributed.world import PeerLostError, rank_info
from frcnn.errors import DataError
from frcnn.model import sampling
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.settings.training import training_run
from frcnn.spec import load_experiment
from frcnn.training import trainer


class DrawAlike:
    """TensorFlow, but for random numbers: all rows the same, whatever the seed."""

    class random:  # noqa: N801  # stands for the module of that name
        @staticmethod
        def stateless_uniform(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            return tf.broadcast_to(tf.random.stateless_uniform(shape[1:], [7, 7]), shape)

    def __getattr__(self, name: str) -> Any:
        return getattr(tf, name)


class EndOf(keras.callbacks.Callback):
    """Lets this rank end badly after its first step."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self._how = how

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._how == "die-on-1":
            os.kill(os.getpid(), signal.SIGKILL)
        raise DataError("record 7 is broken")


def main(spec_file: str, folder: str, *options: str) -> None:
    if "draw-alike" in options:
        sampling.tf = DrawAlike()
    here, models = rank_info(), []
    fit = FasterRCNN.fit

    def watched(self: FasterRCNN, *positional: Any, callbacks: list[Any], **named: Any) -> Any:
        models.append(self)
        ends = [EndOf(each) for each in options if each.endswith("-on-1") and here.rank == 1]
        return fit(self, *positional, callbacks=[*callbacks, *ends], **named)

    FasterRCNN.fit = watched
    try:
        result = trainer.train(training_run(load_experiment(Path(spec_file))), Path(folder) / "results")
    except (DataError, PeerLostError) as error:
        Outcome(here.rank, 1, str(error), isinstance(error, PeerLostError)).leave()
        raise
    optimizer = [variable.numpy() for variable in models[0].optimizer.variables]
    np.savez(Path(folder) / f"rank_{here.rank}.npz", *models[0].get_weights(), *optimizer)
    Outcome(here.rank, 0, result={"loss": result.loss, "mAP": result.mean_ap}).leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
