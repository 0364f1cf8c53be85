"""Prints the mAP after each validation as a line that a tuner's collector reads from the log."""

import datetime
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

import keras

METRIC = "validation_mAP"


class MetricLines(keras.callbacks.Callback):
    """Callback that prints a line `<time> validation_mAP=0.4321` after each validated epoch."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Creates the callback.

        Args:
            stream: Stream to print to; standard output by default.
        """
        super().__init__()
        self._stream = stream
        self._printed: set[int] = set()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Prints the mAP if the epoch was validated."""
        self._print(epoch + 1, logs or {})

    def finish(self, history: Iterable[Mapping[str, float]]) -> None:
        """Prints the epochs of earlier runs, whose log is gone with their pod.

        Args:
            history: Rows of the training log.
        """
        for row in history:
            self._print(int(row["epoch"]), row)

    def _print(self, epoch: int, values: Mapping[str, Any]) -> None:
        value = values.get("mAP")
        if value is None or value != value or epoch in self._printed:
            return
        self._printed.add(epoch)
        moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        stream = self._stream or sys.stdout
        stream.write(f"{moment} {METRIC}={float(value):.6f}\n")
        stream.flush()
