"""An epoch that was saved and not validated, since the run ended; the next run makes up for it."""

import dataclasses
from typing import TYPE_CHECKING

from frcnn.data.input.sources import has_validation
from frcnn.model.files.checkpoint import TrainingRecord

if TYPE_CHECKING:
    from frcnn.evaluation.report import Report
    from frcnn.spec.schema.experiment import Experiment


def lacks_validation(spec: "Experiment", record: TrainingRecord) -> bool:
    """Checks whether a checkpoint's epoch should have been validated, and was not.

    Args:
        spec: The spec of the run that goes on.
        record: The checkpoint's.
    """
    if not record.epoch or "mAP" in record.metrics or not has_validation(spec):
        return False
    period = spec.evaluation_config.validation_period_during_training
    return record.epoch % period == 0 or record.epoch >= spec.training_config.num_epochs


def with_validation(record: TrainingRecord, report: "Report") -> TrainingRecord:
    """Adds what validation found to the record of its epoch, as the run that was cut off would have."""
    found = report.logs()
    history = [dict(row) for row in record.history]
    if history:
        history[-1].update(found)
    return dataclasses.replace(record, metrics={**record.metrics, **found}, history=tuple(history))
