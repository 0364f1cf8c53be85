"""Output of rank 0 during training: log, checkpoints, status, TensorBoard, Weights & Biases."""

import contextlib
from pathlib import Path
from typing import Any, Self

import keras

from frcnn.console.status_file import StatusWriter
from frcnn.evaluation.report import Report
from frcnn.model.files.training_record import TrainingRecord
from frcnn.settings.training import TrainingRun
from frcnn.training.callbacks.checkpoints import Checkpoints
from frcnn.training.callbacks.progress import Reporter
from frcnn.training.callbacks.tensorboard import TensorBoard
from frcnn.training.callbacks.training_log import TrainingLog
from frcnn.training.callbacks.validation import Validation
from frcnn.training.callbacks.wandb import WandbRun
from frcnn.training.starting_point import Start


class Reports:
    """Callbacks of rank 0, in order: an epoch's log row is written before its checkpoint.

    Context manager: exiting removes the progress bar and waits for the last checkpoint.

    Attributes:
        checkpoints: Checkpoint callback.
        callbacks: All callbacks, in order.
    """

    def __init__(
        self,
        run: TrainingRun,
        folder: Path,
        key: str,
        *,
        steps: int,
        processes: int,
        validator: Validation | None,
        record: TrainingRecord,
        start: Start,
    ) -> None:
        """Creates the callbacks that the settings enable.

        Args:
            run: Settings of the training.
            folder: Results folder.
            key: Key that seals the checkpoints; empty for plain ones.
            steps: Steps per epoch.
            processes: Number of ranks.
            validator: Validation callback, if there is a validation set.
            record: Training record at the start.
            start: Starting point of the training.
        """
        self._validator = validator
        rows = TrainingLog(folder, record.history)
        resumed = start.path if start.kind == "resume" else None
        self.checkpoints = Checkpoints(run, folder, key, rows, self._report, record, resumed)
        batch_size = run.data.batch_size * processes
        self._reporter = Reporter(StatusWriter(folder), run.epochs, steps, batch_size, record.epoch)
        self.callbacks: list[keras.callbacks.Callback] = [rows, self.checkpoints, self._reporter]
        if run.visualizer.tensorboard:
            self.callbacks.append(TensorBoard(run, folder, steps, validator))
        if run.visualizer.wandb is not None:
            self.callbacks.append(WandbRun(run.visualizer.wandb, run.spec_text, folder, self._report))
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Shows the bar."""
        self._stack.enter_context(self.checkpoints)
        self._stack.enter_context(self._reporter)
        return self

    def __exit__(self, *details: Any) -> None:
        """Waits for the checkpoint in progress and removes the bar."""
        self._stack.__exit__(*details)

    def _report(self) -> Report | None:
        return self._validator.report if self._validator else None
