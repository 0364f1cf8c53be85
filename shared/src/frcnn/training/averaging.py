"""Gives the average of the weights to all that looks at a model between two epochs."""

from typing import Any

import keras

from frcnn.model.weight_averages import WeightAverages


class AveragedWeights(keras.callbacks.Callback):
    """Has the model hold the averages from an epoch's end to the next one's begin.

    To stand before validation, checkpoints and reports.
    """

    def __init__(self, averages: WeightAverages) -> None:
        """`averages` are those of the model that is trained."""
        super().__init__()
        self._averages = averages

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Gives the weights back for the next step."""
        if self._averages.exchanged:
            self._averages.exchange()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Puts the averages in."""
        self._averages.exchange()
