"""Keras callback that reports each epoch to the caller of `frcnn.train`."""

import time
from typing import Any

import keras

from frcnn.api.training import OnEpoch, epoch_of_row


class EpochCallback(keras.callbacks.Callback):
    """Callback that calls a function after each epoch and ends the training if it returns False."""

    def __init__(self, on_epoch: OnEpoch, epochs: int) -> None:
        """Creates the callback.

        Args:
            on_epoch: Function to call after each epoch.
            epochs: Total number of epochs of the training.
        """
        super().__init__()
        self._on_epoch, self._epochs = on_epoch, epochs
        self._began = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Records the start time of the epoch."""
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Calls the function with the epoch's results."""
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        values = {name: float(value) for name, value in (logs or {}).items()}
        row = {
            "epoch": epoch + 1.0,
            "seconds": time.monotonic() - self._began,
            "learning_rate": rate,
            **values,
        }
        if self._on_epoch(epoch_of_row(row, self._epochs)) is False:
            self.model.stop_training = True
