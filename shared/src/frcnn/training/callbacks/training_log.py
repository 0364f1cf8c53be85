"""`training_log.csv`: one row an epoch, for spreadsheets and plots."""

import csv
import io
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from frcnn.files import write_text

FILE_NAME = "training_log.csv"
_FIRST_COLUMNS = ("epoch", "seconds", "learning_rate", "loss")

Row = dict[str, float]


class TrainingLog(keras.callbacks.Callback):
    """Writes the losses, metrics, learning rate and duration of each epoch.

    A resumed run keeps the rows of the epochs it does not repeat. Numbers are written in full, so that
    what is read is what was. Rank 0 only, behind validation.
    """

    def __init__(self, folder: Path, earlier: Sequence[Row] = ()) -> None:
        """`earlier` are the epochs before a resume, as the checkpoint has them; without them anew."""
        super().__init__()
        self.path = folder / FILE_NAME
        self._rows = [dict(row) for row in earlier]
        self._began = 0.0

    def rows(self) -> tuple[Row, ...]:
        """All epochs so far, those before a resume too."""
        return tuple(dict(row) for row in self._rows)

    def rows_with(self, epoch: int, logs: dict[str, Any] | None) -> tuple[Row, ...]:
        """All epochs so far and one that is trained, but neither validated nor in the file yet."""
        return (*self.rows(), self._row(epoch, logs))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Writes what a resumed run begins with: the validation of its last epoch may have been added."""
        if self._rows:
            write_text(self.path, self._text())

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the epoch's clock."""
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the file, whole, with one more row."""
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
    """An empty cell for what is not defined, such as the mAP of a data set without objects."""
    if not math.isfinite(value):
        return ""
    return str(int(value)) if name == "epoch" else repr(value)
