"""Writes `training_log.csv`, with one row per epoch, for spreadsheets and plots."""

import csv
import io
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from frcnn.evaluation.training_curves import FILE_NAME
from frcnn.files import write_text

_FIRST_COLUMNS = ("epoch", "seconds", "learning_rate", "loss")

Row = dict[str, float]


class TrainingLog(keras.callbacks.Callback):
    """Callback that writes losses, metrics, learning rate and duration of each epoch.

    A resumed run keeps the rows of the epochs that it does not repeat. Numbers are written with full
    precision, so that reading them is exact. Rank 0 only, after validation.

    Attributes:
        path: Path of the file.
    """

    def __init__(self, folder: Path, earlier: Sequence[Row] = ()) -> None:
        """Creates the callback.

        Args:
            folder: Results folder.
            earlier: Rows of the epochs before a resume, from the checkpoint. Without them, the first epoch
                replaces the file.
        """
        super().__init__()
        self.path = folder / FILE_NAME
        self._rows = [dict(row) for row in earlier]
        self._began = 0.0

    def rows(self) -> tuple[Row, ...]:
        """Returns the rows of all epochs so far, including those before a resume."""
        return tuple(dict(row) for row in self._rows)

    def rows_with(self, epoch: int, logs: dict[str, Any] | None) -> tuple[Row, ...]:
        """Returns all rows, and that of an epoch that is not validated and written yet.

        Args:
            epoch: Epoch, from 0.
            logs: Keras logs of the epoch.

        Returns:
            Rows in order of the epochs.
        """
        return (*self.rows(), self._row(epoch, logs))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Rewrites the rows before a resume: a validation result may have been added."""
        if self._rows:
            write_text(self.path, self._text())

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock of the epoch."""
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds a row and rewrites the file atomically."""
        self._rows.append(self._row(epoch, logs))
        write_text(self.path, self._text())

    def _row(self, epoch: int, logs: dict[str, Any] | None) -> Row:
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        seconds = round(time.monotonic() - self._began, 3)
        values = {name: float(value) for name, value in (logs or {}).items()}
        return {"epoch": float(epoch + 1), "seconds": seconds, "learning_rate": rate, **values}

    def _text(self) -> str:
        names = dict.fromkeys([*_FIRST_COLUMNS, *(name for row in self._rows for name in row)])
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(name, value) for name, value in row.items()} for row in self._rows)
        return buffer.getvalue()


def _cell(name: str, value: float) -> str:
    """Formats a value. Undefined ones give an empty cell, such as mAP without objects."""
    if not math.isfinite(value):
        return ""
    return str(int(value)) if name == "epoch" else repr(value)
