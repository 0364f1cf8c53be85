"""Callback that puts the averaged weights into the model between epochs."""

from typing import Any

import keras

from frcnn.model.weight_averages import WeightAverages


class AveragedWeights(keras.callbacks.Callback):
    """Callback that keeps averaged weights in the model between epochs.

    They are in the model from the end of an epoch to the start of the next. The callback must run before
    validation, checkpoints and reports.
    """

    def __init__(self, averages: WeightAverages) -> None:
        """Creates the callback.

        Args:
            averages: Weight averages of the model in training.
        """
        super().__init__()
        self._averages = averages

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Restores the weights for the next step."""
        if self._averages.exchanged:
            self._averages.exchange()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Puts the averages into the model."""
        self._averages.exchange()
