"""Validates during training."""

import logging
from typing import Any

import keras

from frcnn.data.input.dataset import Dataset
from frcnn.distributed.world import World
from frcnn.evaluation.evaluation_state import EvaluationState
from frcnn.evaluation.evaluator import evaluate
from frcnn.evaluation.report import Report
from frcnn.model.keras_detector import KerasDetector
from frcnn.settings.training import ValidationSettings

log = logging.getLogger(__name__)


class Validation(keras.callbacks.Callback):
    """Callback that evaluates on the validation set at regular epochs and after the last one.

    Each rank evaluates its share; all ranks get the report of the whole set.

    Attributes:
        dataset: This rank's share of the validation set.
        detector: Detector of the last validation; `None` before the first.
        report: Result of this epoch's validation; `None` if the epoch had none.
    """

    def __init__(self, settings: ValidationSettings, epochs: int, dataset: Dataset, world: World) -> None:
        """Creates the callback.

        Args:
            settings: Settings of the validation.
            epochs: Number of epochs of the whole training.
            dataset: This rank's share of the validation set.
            world: Ranks of the training.
        """
        super().__init__()
        self._settings, self._epochs = settings, epochs
        self.dataset = dataset
        self._world = world
        self.detector: KerasDetector | None = None
        self.report: Report | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Validates if due, adds `mAP` and `mAP@<iou>` to the logs, and prints the table."""
        self.report = None
        last = epoch + 1 == self._epochs or self.model.stop_training
        if (epoch + 1) % self._settings.period and not last:
            return
        report = self.validate(self.model, epoch + 1)
        if logs is not None:
            logs.update(report.logs())

    def validate(self, model: keras.Model, epoch: int) -> Report:
        """Evaluates a model. All ranks take part.

        Args:
            model: Detector to evaluate.
            epoch: Number of completed epochs, for the log.

        Returns:
            Result over the whole validation set.
        """
        if self.detector is None:
            self.detector = KerasDetector(model, self._settings.detection)
        self.detector.refresh()
        self.report = evaluate(
            self.detector,
            self.dataset,
            self._settings.evaluation,
            description="validating",
            share=self._share,
        )
        log.info("Validation after epoch %d\n%s", epoch, self.report.table())
        return self.report

    def _share(self, tally: EvaluationState) -> list[EvaluationState]:
        return [EvaluationState.from_arrays(arrays) for arrays in self._world.gather(tally.to_arrays())]
