"""Sends the metrics of each epoch to Weights & Biases if `visualizer.wandb_config` enables it."""

import importlib
import importlib.util
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from frcnn.evaluation.report import Report
from frcnn.settings.visualizer import WandbSettings
from frcnn.spec.textproto.secrets import is_mask
from frcnn.training.callbacks.tensorboard import class_precisions

log = logging.getLogger(__name__)


class WandbRun(keras.callbacks.Callback):
    """Callback that logs the training as one Weights & Biases run. Rank 0 only.

    Without the package it logs a warning and does nothing. The key is passed to the package's login only: it
    is in no settings of the run and in no file.
    """

    def __init__(
        self,
        settings: WandbSettings,
        spec_text: str,
        results_dir: Path,
        report: Callable[[], Report | None] = lambda: None,
    ) -> None:
        """Creates the callback.

        Args:
            settings: Settings of the run.
            spec_text: Text of the spec without keys, stored with the run.
            results_dir: Folder of the local run files, unless the settings name one.
            report: Returns the validation result of the epoch, or `None`.
        """
        super().__init__()
        self._settings, self._spec_text = settings, spec_text
        self._results_dir, self._report = results_dir, report
        self._run: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the run. If that fails, it logs the reason and training continues."""
        settings = self._settings
        if importlib.util.find_spec("wandb") is None:
            log.warning("Ignoring visualizer.wandb_config: wandb is not installed. Run: pip install wandb")
            return
        wandb: Any = importlib.import_module("wandb")
        try:
            if is_mask(settings.key):
                log.warning("Ignoring visualizer.wandb_config.key: it is a masked key. Set the original key.")
            elif settings.key and settings.mode == "online":
                wandb.login(key=settings.key)
            self._run = wandb.init(**self._options(wandb))
        except Exception as error:  # errors of the service or package must not end the training
            log.warning("visualizer.wandb_config: could not start a run: %s", error)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Sends losses, learning rate, mAP and AP."""
        if self._run is None:
            return
        values = {name: float(value) for name, value in (logs or {}).items()}
        values |= class_precisions(self._report())
        values["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        try:
            self._run.log({**finite, "epoch": epoch + 1}, step=epoch + 1)
        except Exception as error:
            log.warning("visualizer.wandb_config: could not send epoch %d: %s", epoch + 1, error)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Ends the run."""
        if self._run is not None:
            self._run.finish()

    def _options(self, wandb: Any) -> dict[str, Any]:
        settings = self._settings
        folder = Path(settings.folder) if settings.folder else self._results_dir
        folder.mkdir(parents=True, exist_ok=True)
        # Disable console capture: it would upload every progress bar, and commands may contain a key.
        quiet = wandb.Settings(console="off", silent=True)
        return {
            "dir": str(folder),
            "mode": settings.mode,
            "project": settings.project or None,
            "entity": settings.entity or None,
            "name": settings.name or None,
            "tags": list(settings.tags) or None,
            "notes": settings.notes or None,
            "reinit": "finish_previous" if settings.reinit else None,
            "config": {"spec": self._spec_text},
            "settings": quiet,
        }
