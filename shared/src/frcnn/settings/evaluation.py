"""Resolves the settings of an evaluation."""

from dataclasses import dataclass, replace
from pathlib import Path

from frcnn.data.settings import DataSettings
from frcnn.evaluation.settings import DEFAULT_IOU, EvaluationSettings, iou_range
from frcnn.model.settings import ExpectedModel
from frcnn.settings.data import data_settings
from frcnn.settings.model import expected_model
from frcnn.spec.schema.experiment import Experiment
from frcnn.spec.schema.run import EvaluationConfig


@dataclass(frozen=True)
class EvaluationRun:
    """Everything that an evaluation takes from the spec.

    Attributes:
        data: Validation set and input format.
        batch_size: Images per batch.
        expected: What the model must have, and the settings to run it with.
        evaluation: Settings by which detections are judged.
        curves: Whether to draw the precision-recall curves.
    """

    data: DataSettings
    batch_size: int
    expected: ExpectedModel
    evaluation: EvaluationSettings
    curves: bool


def evaluation_run(spec: Experiment) -> EvaluationRun:
    """Resolves everything that an evaluation takes from the spec.

    Args:
        spec: Checked spec.

    Returns:
        Settings of the evaluation.
    """
    config = spec.evaluation_config
    return EvaluationRun(
        data=data_settings(spec),
        batch_size=config.batch_size,
        expected=expected_model(spec),
        evaluation=evaluation_settings(spec),
        curves=config.visualize_pr_curve,
    )


def evaluation_run_on(spec: Experiment, tfrecords: str, images: Path | None) -> EvaluationRun:
    """Resolves an evaluation on other records than those of the spec.

    Args:
        spec: Checked spec.
        tfrecords: Glob of the record files.
        images: Folder of their images; `None` if the records contain them.

    Returns:
        Settings of the evaluation.
    """
    run = evaluation_run(spec.evaluated_on(tfrecords, images))
    if run.data.validation_source is None:
        return run
    source = replace(run.data.validation_source, given=True)
    return replace(run, data=replace(run.data, validation_source=source))


def evaluation_settings(spec: Experiment) -> EvaluationSettings:
    """Resolves classes, IoU thresholds and the kind of average precision.

    Args:
        spec: Checked spec.

    Returns:
        Settings of the evaluation.
    """
    config = spec.evaluation_config
    return EvaluationSettings(
        class_names=tuple(spec.class_names),
        iou_thresholds=_iou_thresholds(config),
        score_threshold=config.object_confidence_thres,
        voc07=config.use_voc07_11point_metric,
        coco_matching=config.coco_matching,
        shown_score=spec.inference_config.bbox_visualize_threshold,
    )


def _iou_thresholds(config: EvaluationConfig) -> tuple[float, ...]:
    wanted = config.gt_matching_iou_threshold_range
    if wanted is not None:
        return iou_range(wanted.start, wanted.end, wanted.step)
    return (round(config.gt_matching_iou_threshold or DEFAULT_IOU, 6),)
