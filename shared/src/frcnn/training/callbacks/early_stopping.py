"""Stops a training whose loss no longer decreases."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import keras

from frcnn.settings.training import EarlyStoppingSettings

log = logging.getLogger(__name__)


class EarlyStop(keras.callbacks.Callback):
    """Callback that stops after `patience` epochs without a better loss.

    A loss is better if it is below the best one by more than `min_delta`. The model keeps the weights of the
    last epoch. All ranks need the same loss, so the callback runs after `EpochMeans`. Callbacks after this
    one see `model.stop_training`.

    Attributes:
        over: Whether the training has been stopped.
    """

    def __init__(self, settings: EarlyStoppingSettings, earlier: Sequence[float] = ()) -> None:
        """Creates the callback.

        Args:
            settings: Settings of the stop.
            earlier: Losses of the epochs before a resume. They make a resumed run stop at the same epoch as
                an uninterrupted one.
        """
        super().__init__()
        self._min_delta, self._patience = settings.min_delta, settings.patience
        self._best, self._waited = math.inf, 0
        self.over = False
        for loss in earlier:
            self.over = self._is_enough(loss)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stops the training if the loss has not improved for long enough."""
        if logs is None or "loss" not in logs:
            return
        if self._is_enough(float(logs["loss"])):
            self.over = True
            self.model.stop_training = True
            log.info(
                "Early stopping after epoch %d: no loss was more than %g below %.6g for %d epochs",
                epoch + 1,
                self._min_delta,
                self._best,
                self._waited,
            )

    def _is_enough(self, loss: float) -> bool:
        if loss < self._best - self._min_delta:
            self._best, self._waited = loss, 0
        else:
            self._waited += 1
        return self._waited >= self._patience
