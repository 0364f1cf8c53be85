"""Computes the metrics of an evaluation from its state."""

import numpy as np

from frcnn.evaluation.average_precision import (
    Curve,
    average_precision_voc07,
    average_precision_voc12,
    trace_curve,
)
from frcnn.evaluation.evaluation_state import EvaluationState, judged, rows_by_class
from frcnn.evaluation.matching import TRUE_POSITIVE
from frcnn.evaluation.report import AtScore, ClassResult, IoUResult, Report, best_f1, ratio
from frcnn.evaluation.settings import EvaluationSettings


def build_report(tally: EvaluationState, settings: EvaluationSettings) -> Report:
    """Computes the metrics of an evaluation.

    Args:
        tally: State of the evaluation.
        settings: Settings of the evaluation.

    Returns:
        Metrics by IoU threshold and class.
    """
    rows = rows_by_class(tally, len(settings.class_names))
    results = tuple(
        IoUResult(
            iou,
            tuple(_class_result(tally, settings, index, of_class, at) for index, of_class in enumerate(rows)),
            _overall_curve(tally, at),
        )
        for at, iou in enumerate(settings.iou_thresholds)
    )
    return Report(results, settings.metric, settings.score_threshold, tally.images)


def _overall_curve(tally: EvaluationState, at: int) -> Curve | None:
    """Computes the curve over the detections of all classes; `None` without objects."""
    objects = int(tally.objects.sum())
    if not objects:
        return None
    scores, outcomes = judged(tally, np.arange(len(tally.scores)), at)
    return trace_curve(scores, outcomes == TRUE_POSITIVE, objects)


def _class_result(
    tally: EvaluationState, settings: EvaluationSettings, index: int, rows: np.ndarray, at: int
) -> ClassResult:
    scores, outcomes = judged(tally, rows, at)
    objects, difficult = int(tally.objects[index]), int(tally.difficult[index])
    right = int((outcomes == TRUE_POSITIVE).sum())
    curve, ap = None, None
    if objects:
        curve = trace_curve(scores, outcomes == TRUE_POSITIVE, objects)
        ap = average_precision_voc07(curve) if settings.voc07 else average_precision_voc12(curve)
    seen = outcomes[scores >= settings.shown_score] == TRUE_POSITIVE
    # RPN recall is defined over all images, so it is unknown if some have no RoIs.
    rois_known = tally.images_with_rois == tally.images
    return ClassResult(
        name=settings.class_names[index],
        ap=ap,
        precision=ratio(right, len(outcomes)),
        recall=ratio(right, objects),
        rpn_recall=ratio(int(tally.proposed[index]), objects + difficult) if rois_known else None,
        objects=objects,
        difficult=difficult,
        true_positives=right,
        false_positives=len(outcomes) - right,
        shown=AtScore(settings.shown_score, int(seen.sum()), int((~seen).sum()), objects),
        best_f1=best_f1(curve),
        curve=curve,
    )
