"""State of an evaluation: all that the metrics need, compact and mergeable across processes.

N detections, G objects, C classes, T IoU thresholds.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from frcnn.evaluation.ignored_regions import ignore_in_regions
from frcnn.evaluation.matching import IGNORED, inclusive_iou, match
from frcnn.evaluation.settings import RPN_RECALL_IOU, EvaluationSettings
from frcnn.model.batch_detector import DetectionBatch


@dataclasses.dataclass(frozen=True)
class Objects:
    """Labeled objects of one image.

    Attributes:
        boxes: Boxes, `yxyx` in pixels, `[G, 4]`.
        classes: Class indices, int `[G]`.
        difficult: Whether an object is difficult, bool `[G]`.
        regions: Regions where detections are not counted (see `ignored_regions`), `[R, 4]`.
    """

    boxes: np.ndarray
    classes: np.ndarray
    difficult: np.ndarray
    regions: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 4)))


@dataclasses.dataclass(frozen=True)
class Found:
    """Detections of one image.

    Attributes:
        boxes: Boxes, `yxyx` in pixels, `[N, 4]`.
        scores: Scores, `[N]`.
        classes: Class indices, int `[N]`.
        rois: RoIs, `[R, 4]`; `None` if they are unknown.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    rois: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class EvaluationState:
    """Outcomes of detections and counts of objects over any number of images.

    Attributes:
        scores: Scores of detections, float32 `[N]`.
        classes: Class indices of detections, int32 `[N]`.
        outcomes: Outcomes as of `matching.match`, int8 `[N, T]`.
        objects: Labeled objects that are not difficult, int64 `[C]`.
        difficult: Labeled objects that are difficult, int64 `[C]`.
        proposed: Objects of either kind that some RoI overlaps by at least 0.5, int64 `[C]`.
        images: Number of images.
        images_with_rois: Number of images with known RoIs.
    """

    scores: np.ndarray
    classes: np.ndarray
    outcomes: np.ndarray
    objects: np.ndarray
    difficult: np.ndarray
    proposed: np.ndarray
    images: int = 0
    images_with_rois: int = 0

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Returns the content as plain arrays, for `np.savez` or an all-gather."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "EvaluationState":
        """Restores the result of `to_arrays`.

        Args:
            arrays: Arrays by field name.

        Returns:
            State with these values.
        """
        values: dict[str, Any] = {field.name: arrays[field.name] for field in dataclasses.fields(cls)}
        return cls(**values | {name: int(values[name]) for name in ("images", "images_with_rois")})


def objects_in(batch: Mapping[str, np.ndarray], index: int) -> Objects:
    """Extracts the labeled objects of one image.

    Args:
        batch: Validation batch.
        index: Index of the image in the batch.

    Returns:
        Objects, without padding.
    """
    valid = batch["valid"][index]
    objects = Objects(*(batch[name][index][valid] for name in ("boxes", "classes", "difficult")))
    return dataclasses.replace(objects, regions=batch["ignored"][index]) if "ignored" in batch else objects


def found_in(
    detections: DetectionBatch, batch: Mapping[str, np.ndarray], index: int, score_threshold: float
) -> Found:
    """Extracts the detections of one image that reach a score, on whole pixels as in TAO.

    Args:
        detections: Padded detections of the batch.
        batch: Validation batch.
        index: Index of the image in the batch.
        score_threshold: Lowest score that counts.

    Returns:
        Detections, clipped to the image.
    """
    scores = detections.scores[index, : detections.count[index]]
    counts = np.flatnonzero(scores >= score_threshold)
    height, width = batch["size"][index] if "size" in batch else batch["images"].shape[1:3]
    limits = np.asarray([height - 1, width - 1, height - 1, width - 1])
    return Found(
        boxes=np.clip(np.trunc(detections.boxes[index, counts]), 0, limits),
        scores=scores[counts],
        classes=detections.classes[index, counts],
        rois=None if detections.rois is None else detections.rois[index],
    )


def empty_tally(settings: EvaluationSettings) -> EvaluationState:
    """Creates the state of an evaluation without images.

    Args:
        settings: Settings of the evaluation.

    Returns:
        State without detections and objects.
    """
    none, one_each = np.zeros(0), np.zeros(len(settings.class_names), np.int64)
    return EvaluationState(
        scores=none.astype(np.float32),
        classes=none.astype(np.int32),
        outcomes=np.zeros((0, len(settings.iou_thresholds)), np.int8),
        objects=one_each,
        difficult=one_each,
        proposed=one_each,
    )


def merge(tallies: Sequence[EvaluationState]) -> EvaluationState:
    """Merges states; no metric depends on their order.

    Args:
        tallies: At least one state, all with the same settings.

    Returns:
        State of all images.
    """

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(each, name) for each in tallies])

    def summed(name: str) -> np.ndarray:
        return np.asarray(np.sum([getattr(each, name) for each in tallies], axis=0))

    return EvaluationState(
        scores=joined("scores"),
        classes=joined("classes"),
        outcomes=joined("outcomes"),
        objects=summed("objects"),
        difficult=summed("difficult"),
        proposed=summed("proposed"),
        images=sum(each.images for each in tallies),
        images_with_rois=sum(each.images_with_rois for each in tallies),
    )


def tally_image(objects: Objects, found: Found, settings: EvaluationSettings) -> EvaluationState:
    """Judges one image.

    Args:
        objects: Labeled objects.
        found: Detections, on the same pixel grid.
        settings: Settings of the evaluation.

    Returns:
        State of this image.
    """
    counts = len(settings.class_names)
    iou = inclusive_iou(found.boxes, objects.boxes)
    iou *= found.classes[:, None] == objects.classes[None, :]
    thresholds = np.asarray(settings.iou_thresholds)
    outcomes, _ = match(found.scores, iou, objects.difficult, thresholds, coco=settings.coco_matching)
    outcomes = ignore_in_regions(outcomes, found.boxes, objects.regions, thresholds)
    proposed = np.zeros(len(objects.classes), bool)
    if found.rois is not None:
        # An overlap of exactly 0.5 counts, as in TAO: nothing is added to the union here.
        overlaps = inclusive_iou(found.rois, objects.boxes, extra=0.0)
        proposed = overlaps.max(axis=0, initial=0.0) >= RPN_RECALL_IOU
    return EvaluationState(
        scores=np.asarray(found.scores, np.float32),
        classes=np.asarray(found.classes, np.int32),
        outcomes=outcomes,
        objects=np.bincount(objects.classes[~objects.difficult], minlength=counts),
        difficult=np.bincount(objects.classes[objects.difficult], minlength=counts),
        proposed=np.bincount(objects.classes[proposed], minlength=counts),
        images=1,
        images_with_rois=int(found.rois is not None),
    )


def rows_by_class(tally: EvaluationState, classes: int) -> list[np.ndarray]:
    """Finds the rows of the detections of each class in one pass, in their order.

    Args:
        tally: State of an evaluation.
        classes: Number of classes.

    Returns:
        Row indices for each class.
    """
    order = np.argsort(tally.classes, kind="stable")
    return np.split(order, np.searchsorted(tally.classes[order], np.arange(1, classes)))


def judged(tally: EvaluationState, rows: np.ndarray, threshold_index: int) -> tuple[np.ndarray, np.ndarray]:
    """Selects detections at one IoU threshold, without ignored ones.

    Args:
        tally: State of an evaluation.
        rows: Rows of the detections, int `[n]`.
        threshold_index: Index of the IoU threshold.

    Returns:
        Tuple of scores and outcomes, each `[m]` with m <= n.
    """
    outcomes = tally.outcomes[rows, threshold_index]
    counted = outcomes != IGNORED
    return tally.scores[rows][counted], outcomes[counted]
