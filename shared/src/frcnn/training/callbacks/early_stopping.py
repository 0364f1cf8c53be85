"""Ends a training whose loss has stopped falling."""

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import EarlyStopping

log = logging.getLogger(__name__)


class EarlyStop(keras.callbacks.Callback):
    """Stops after `patience` epochs whose training loss was not below the best one by more than `min_delta`.

    `over` says whether it has. The weights stay those of the last epoch. The loss must be the same on all
    ranks (behind EpochMeans), and callbacks behind this one see `model.stop_training`.
    """

    def __init__(self, settings: "EarlyStopping", earlier: Sequence[float] = ()) -> None:
        """`earlier` are the losses of the epochs before a resume: it stops where one run would have."""
        super().__init__()
        self._min_delta, self._patience = settings.min_delta, settings.patience
        self._best, self._waited = math.inf, 0
        self.over = False
        for loss in earlier:
            self.over = self._is_enough(loss)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Judges the epoch's mean loss."""
        if logs is None or "loss" not in logs:
            return
        if self._is_enough(float(logs["loss"])):
            self.over = True
            self.model.stop_training = True
            log.info(
                "early stopping after epoch %d: no loss more than %g below %.6g for %d epochs",
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
