"""Ends a training whose record files are replaced."""

from typing import Any

import keras

from frcnn.data.input.dataset import Dataset


class RecordGuard(keras.callbacks.Callback):
    """Callback that checks before and after every epoch, before it is saved, that no record file changed."""

    def __init__(self, *datasets: Dataset | None) -> None:
        """Creates the callback.

        Args:
            *datasets: Data of the training; `None` is ignored.
        """
        super().__init__()
        self._files = [each.files for each in datasets if each is not None]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Raises `DataError` if a record file was replaced since it was opened."""
        self.check()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Raises `DataError` if a record file was replaced during the epoch."""
        self.check()

    def check(self) -> None:
        """Raises `DataError` if a record file was replaced, changed or removed since it was opened."""
        for files in self._files:
            files.require_unchanged()
