"""Result of a training."""

import dataclasses
import math
from pathlib import Path

from frcnn.model.files.training_record import TrainingRecord


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """Result of a training.

    Attributes:
        checkpoint: Last checkpoint; `None` on other ranks than 0.
        best: Checkpoint of highest mAP; `None` without validation and on other ranks than 0.
        epochs: Number of completed epochs.
        loss: Mean loss of the last epoch; NaN if it is unknown.
        mean_ap: mAP after the last epoch; `None` without validation.
    """

    checkpoint: Path | None
    best: Path | None
    epochs: int
    loss: float
    mean_ap: float | None

    @classmethod
    def of(cls, record: TrainingRecord, checkpoint: Path, best: Path | None = None) -> "TrainResult":
        """Creates the result of a training that was already complete.

        Args:
            record: Training record of the checkpoint.
            checkpoint: Last checkpoint.
            best: Best checkpoint, if there is one.

        Returns:
            Result with the metrics of the record.
        """
        metrics = record.metrics
        return cls(checkpoint, best, record.epoch, metrics.get("loss", math.nan), metrics.get("mAP"))

    def metrics(self) -> dict[str, float]:
        """Returns the values to show on the page of a run: loss, epochs and, if known, mAP."""
        found = {"loss": self.loss, "epochs": float(self.epochs)}
        return found if self.mean_ap is None else {**found, "mAP": self.mean_ap}
