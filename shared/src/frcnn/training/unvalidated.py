"""Epochs that were saved but not validated because the run ended; the next run validates them."""

import dataclasses
from typing import TYPE_CHECKING

from frcnn.model.files.training_record import TrainingRecord
from frcnn.settings.training import TrainingRun

if TYPE_CHECKING:
    from frcnn.evaluation.report import Report


def lacks_validation(run: TrainingRun, record: TrainingRecord) -> bool:
    """Checks whether a checkpoint still needs the validation that was due after its epoch.

    Args:
        run: Settings of the resumed run.
        record: Training record of the checkpoint.

    Returns:
        `True` if validation was due and the record has no result of it.
    """
    if not record.epoch or "mAP" in record.metrics or not run.data.has_validation:
        return False
    return record.epoch % run.validation.period == 0 or record.epoch >= run.epochs


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
