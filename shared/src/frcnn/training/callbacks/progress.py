"""Reports progress and status of a training."""

import logging
import math
import time
from typing import Any, Self

import keras

from frcnn.console.progress import Progress, clock_time, training_line
from frcnn.console.status_file import StatusWriter

log = logging.getLogger(__name__)


class Reporter(keras.callbacks.Callback):
    """Callback that shows a progress bar over all epochs and writes a status record per epoch."""

    def __init__(
        self, status: StatusWriter, epochs: int, steps: int, batch_size: int, done_epochs: int
    ) -> None:
        """Creates the callback.

        Args:
            status: Writer of the status file.
            epochs: Number of epochs of the whole training.
            steps: Steps per epoch.
            batch_size: Images per step over all ranks.
            done_epochs: Epochs that a resumed run has already completed.
        """
        super().__init__()
        self._status = status
        self._epochs, self._steps, self._batch_size = epochs, steps, batch_size
        self._progress = Progress("training", epochs * steps, done=done_epochs * steps)
        self._epoch, self._began, self._last_step = done_epochs, 0.0, 0.0
        self._speed = 0.0

    def __enter__(self) -> Self:
        """Shows the bar."""
        self._progress.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        """Removes the bar."""
        self._progress.__exit__(*details)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Says why the first step takes longer."""
        log.info("Compiling the training step, up to a minute")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock of the epoch."""
        self._epoch, self._began = epoch, time.monotonic()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock of the step."""
        self._last_step = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Updates the bar."""
        speed = self._batch_size / max(time.monotonic() - self._last_step, 1e-9)
        # Smoothed, because the speed of single steps varies with the load of the machine.
        self._speed = speed if not self._speed else 0.9 * self._speed + 0.1 * speed
        done = self._epoch * self._steps + batch + 1
        self._progress.update(done, lambda: self._line(batch, logs or {}))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the status record and logs a summary."""
        seconds = time.monotonic() - self._began
        values = {name: float(value) for name, value in (logs or {}).items()}
        rate = self._learning_rate()
        graphical = {name: value for name, value in values.items() if not name.startswith("mAP")}
        kpi = {"mean average precision": values["mAP"]} if "mAP" in values else {}
        self._status.write(
            "RUNNING",
            f"epoch {epoch + 1} of {self._epochs}",
            epoch=epoch + 1,
            max_epoch=self._epochs,
            time_per_epoch=clock_time(seconds),
            eta=clock_time(seconds * (self._epochs - epoch - 1)),
            graphical={**graphical, **kpi, "learning_rate": rate},
            kpi=kpi,
        )
        log.info(
            "epoch %d/%d in %s: loss %.4f, lr %.2e%s",
            epoch + 1,
            self._epochs,
            clock_time(seconds),
            values.get("loss", math.nan),
            rate,
            f", mAP {values['mAP']:.4f}" if "mAP" in values else "",
        )
        log.debug("epoch %d: %s", epoch + 1, ", ".join(f"{name} {values[name]:.6g}" for name in values))

    def _line(self, batch: int, logs: dict[str, Any]) -> str:
        parts = loss_parts({name: float(number) for name, number in logs.items()})
        epoch, step = (self._epoch + 1, self._epochs), (batch + 1, self._steps)
        return training_line(epoch, step, parts, self._learning_rate(), self._speed)

    def _learning_rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))


def loss_parts(logs: dict[str, float]) -> dict[str, float]:
    """Splits the loss into its parts.

    Args:
        logs: Losses by their Keras names.

    Returns:
        `loss`, `rpn`, `roi` and, if a regularizer contributes, `weights`.
    """
    rpn = logs["rpn_out_class_loss"] + logs["rpn_out_regress_loss"]
    roi = logs["dense_class_td_loss"] + logs["dense_regress_td_loss"]
    # Without a regularizer, the difference is a rounding error.
    weights = logs["loss"] - rpn - roi
    shown = {"weights": weights} if weights > 1e-4 * logs["loss"] else {}
    return {"loss": logs["loss"], "rpn": rpn, "roi": roi, **shown}
