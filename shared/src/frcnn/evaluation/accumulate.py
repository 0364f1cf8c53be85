"""What an evaluation has seen so far: everything the metrics need, small, and mergeable over processes.

N detections, G objects, C classes, T IoU thresholds.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from frcnn.evaluation.ignored_regions import excuse
from frcnn.evaluation.matching import IGNORED, inclusive_iou, match
from frcnn.evaluation.settings import RPN_RECALL_IOU, EvaluationSettings
from frcnn.model.batch_detector import DetectionBatch


@dataclasses.dataclass(frozen=True)
class Objects:
    """The labelled objects of one image: boxes [G, 4] yxyx px, classes int [G], difficult bool [G].

    `regions` [R, 4] are those where detections do not count (`ignored_regions`).
    """

    boxes: np.ndarray
    classes: np.ndarray
    difficult: np.ndarray
    regions: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 4)))


@dataclasses.dataclass(frozen=True)
class Found:
    """The detections of one image: boxes [N, 4] yxyx px, scores [N], classes int [N]; rois [R, 4] or None."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    rois: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Tally:
    """Outcomes of detections and counts of objects, of any number of images.

    Attributes:
        scores: float32 [N].
        classes: int32 [N].
        outcomes: int8 [N, T], see `matching.match`.
        objects: int64 [C], labelled objects that are not difficult.
        difficult: int64 [C], labelled objects that are.
        proposed: int64 [C], objects of either kind that some RoI overlaps by at least 0.5.
        images: Images seen.
        images_with_rois: Images whose RoIs were known.
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
        """The content as plain arrays, for `np.savez` or an all-gather."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Tally":
        """The inverse of `to_arrays`."""
        values: dict[str, Any] = {field.name: arrays[field.name] for field in dataclasses.fields(cls)}
        return cls(**values | {name: int(values[name]) for name in ("images", "images_with_rois")})


def objects_in(batch: Mapping[str, np.ndarray], index: int) -> Objects:
    """The labelled objects of image `index` of a validation batch."""
    valid = batch["valid"][index]
    objects = Objects(*(batch[name][index][valid] for name in ("boxes", "classes", "difficult")))
    return dataclasses.replace(objects, regions=batch["ignored"][index]) if "ignored" in batch else objects


def found_in(
    detections: DetectionBatch, batch: Mapping[str, np.ndarray], index: int, score_threshold: float
) -> Found:
    """The detections of image `index` that count, on whole pixels as the reference compares them."""
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


def empty_tally(settings: EvaluationSettings) -> Tally:
    """Nothing seen yet."""
    none, one_each = np.zeros(0), np.zeros(len(settings.class_names), np.int64)
    return Tally(
        scores=none.astype(np.float32),
        classes=none.astype(np.int32),
        outcomes=np.zeros((0, len(settings.iou_thresholds)), np.int8),
        objects=one_each,
        difficult=one_each,
        proposed=one_each,
    )


def merge(tallies: Sequence[Tally]) -> Tally:
    """One tally of all the images of at least one tally. No metric depends on the order they come in."""

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(each, name) for each in tallies])

    def summed(name: str) -> np.ndarray:
        return np.sum([getattr(each, name) for each in tallies], axis=0)

    return Tally(
        scores=joined("scores"),
        classes=joined("classes"),
        outcomes=joined("outcomes"),
        objects=summed("objects"),
        difficult=summed("difficult"),
        proposed=summed("proposed"),
        images=sum(each.images for each in tallies),
        images_with_rois=sum(each.images_with_rois for each in tallies),
    )


def tally_image(objects: Objects, found: Found, settings: EvaluationSettings) -> Tally:
    """The tally of one image; boxes of both sides on the same pixel grid."""
    counts = len(settings.class_names)
    iou = inclusive_iou(found.boxes, objects.boxes)
    iou *= found.classes[:, None] == objects.classes[None, :]
    thresholds = np.asarray(settings.iou_thresholds)
    outcomes = match(found.scores, iou, objects.difficult, thresholds, coco=settings.coco_matching)
    outcomes = excuse(outcomes, found.boxes, objects.regions, thresholds)
    proposed = np.zeros(len(objects.classes), bool)
    if found.rois is not None:
        # Half is enough, in the reference too: nothing is added to the union here.
        overlaps = inclusive_iou(found.rois, objects.boxes, extra=0.0)
        proposed = overlaps.max(axis=0, initial=0.0) >= RPN_RECALL_IOU
    return Tally(
        scores=np.asarray(found.scores, np.float32),
        classes=np.asarray(found.classes, np.int32),
        outcomes=outcomes,
        objects=np.bincount(objects.classes[~objects.difficult], minlength=counts),
        difficult=np.bincount(objects.classes[objects.difficult], minlength=counts),
        proposed=np.bincount(objects.classes[proposed], minlength=counts),
        images=1,
        images_with_rois=int(found.rois is not None),
    )


def rows_by_class(tally: Tally, classes: int) -> list[np.ndarray]:
    """Finds the rows of each class's detections in one pass, in their order."""
    order = np.argsort(tally.classes, kind="stable")
    return np.split(order, np.searchsorted(tally.classes[order], np.arange(1, classes)))


def judged(tally: Tally, rows: np.ndarray, threshold_index: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores [n] and outcomes [n] of these detections at one IoU threshold, ignored ones left out."""
    outcomes = tally.outcomes[rows, threshold_index]
    counted = outcomes != IGNORED
    return tally.scores[rows][counted], outcomes[counted]
