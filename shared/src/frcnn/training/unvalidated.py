"""Epochs that were saved but not validated because the run ended; the next run validates them."""

import dataclasses
from typing import TYPE_CHECKING

from frcnn.data.input.sources import has_validation
from frcnn.model.files.checkpoint import TrainingRecord

if TYPE_CHECKING:
    from frcnn.evaluation.report import Report
    from frcnn.spec.schema.experiment import Experiment


def lacks_validation(spec: "Experiment", record: TrainingRecord) -> bool:
    """Checks whether a checkpoint still needs the validation that was due after its epoch.

    Args:
        spec: Spec of the resumed run.
        record: Training record of the checkpoint.

    Returns:
        `True` if validation was due and the record has no result of it.
    """
    if not record.epoch or "mAP" in record.metrics or not has_validation(spec):
        return False
    period = spec.evaluation_config.validation_period_during_training
    return record.epoch % period == 0 or record.epoch >= spec.training_config.num_epochs


def with_validation(record: TrainingRecord, report: "Report") -> TrainingRecord:
    """Adds the result of a validation to the record of its epoch, as an uninterrupted run does.

    Args:
        record: Training record of the epoch.
        report: Result of the validation.

    Returns:
        Record whose metrics and last history row contain the result.
    """
    found = report.logs()
    history = [dict(row) for row in record.history]
    if history:
        history[-1].update(found)
    return dataclasses.replace(record, metrics={**record.metrics, **found}, history=tuple(history))
