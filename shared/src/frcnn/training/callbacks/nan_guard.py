"""Ends a training whose loss is not finite."""

import math
from typing import Any

import keras

from frcnn.errors import RunError


class NanGuard(keras.callbacks.Callback):
    """Callback that ends the run at the first non-finite loss, before a checkpoint is written."""

    def __init__(self, steps: int) -> None:
        """Creates the callback.

        Args:
            steps: Steps per epoch, for the message.
        """
        super().__init__()
        self._steps = steps
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stores the epoch for the message."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Raises `RunError` with step and loss if a loss is NaN or infinite."""
        for name, value in (logs or {}).items():
            if name.endswith("loss") and not math.isfinite(float(value)):
                raise RunError(
                    f"{name} is {float(value)} at epoch {self._epoch + 1} step {batch + 1} "
                    f"(step {self._epoch * self._steps + batch + 1} in all). Training stopped; earlier "
                    "checkpoints are kept. Lower learning_rate, lengthen soft_start, or check the labels."
                )
