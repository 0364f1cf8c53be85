"""`training_log.csv`: one row an epoch, for spreadsheets and plots."""

import csv
import io
import math
import time
from pathlib import Path
from typing import Any

import keras

from frcnn.runtime.files import write_text

FILE_NAME = "training_log.csv"
_FIRST_COLUMNS = ("epoch", "seconds", "learning_rate", "loss")

Row = dict[str, float]


def read_training_log(path: Path, epochs: int) -> list[Row]:
    """The rows of the first `epochs` epochs, in order; those there are, if the file is missing or cut short.

    A row has what was known: epoch (from 1), seconds, learning_rate, the losses, mAP where validated.
    """
    if not path.is_file():
        return []
    rows: list[Row] = []
    with path.open(newline="", encoding="utf-8", errors="replace") as handle:
        for cells in csv.DictReader(handle):
            try:
                row = {name: float(text) for name, text in cells.items() if name and text}
            except (TypeError, ValueError):
                continue
            if 1 <= row.get("epoch", 0) <= epochs:
                rows.append(row)
    return rows


class TrainingLog(keras.callbacks.Callback):
    """Writes the losses, metrics, learning rate and duration of each epoch.

    A resumed run keeps the rows of the epochs it does not repeat. Numbers are written in full, so that
    what is read is what was. Rank 0 only, behind validation.
    """

    def __init__(self, folder: Path, done_epochs: int = 0) -> None:
        """`done_epochs` of a resumed run; 0 starts the file anew."""
        super().__init__()
        self.path = folder / FILE_NAME
        self._rows = read_training_log(self.path, done_epochs)
        self._began = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the epoch's clock."""
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the file, whole, with one more row."""
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        seconds = round(time.monotonic() - self._began, 3)
        values = {name: float(value) for name, value in (logs or {}).items()}
        self._rows.append({"epoch": float(epoch + 1), "seconds": seconds, "learning_rate": rate, **values})
        write_text(self.path, self._text())

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
