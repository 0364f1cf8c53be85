"""Analyzes errors: confusions, results by object size and score, and the worst errors.

N detections, G objects, C classes of an image. Everything is judged at one IoU threshold.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from frcnn.evaluation.accumulate import Found, Objects, found_in, objects_in
from frcnn.evaluation.average_precision import (
    average_precision_voc07,
    average_precision_voc12,
    trace_curve,
)
from frcnn.evaluation.confusion import Confusion
from frcnn.evaluation.ignored_regions import excuse, share_inside
from frcnn.evaluation.matching import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE, inclusive_iou, match
from frcnn.evaluation.settings import EvaluationSettings
from frcnn.evaluation.thumbnails import ErrorExample, TopErrors
from frcnn.model.batch_detector import DetectionBatch

# COCO's ranges of object areas, in pixels of the original image.
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, np.inf)}
BINS = 20


@dataclasses.dataclass(frozen=True)
class SizeResult:
    """Average precision over the objects of one size; `None` without objects."""

    ap: float | None
    objects: int


@dataclasses.dataclass
class _OfSize:
    """Judged detections for objects of one size, and object counts by class (int64 `[C]`)."""

    objects: np.ndarray
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = dataclasses.field(default_factory=list)
    # 1 if there is a single part that is sorted by class.
    _sorted: int = 0

    def add(self, found: Found, outcomes: np.ndarray, objects: np.ndarray) -> None:
        """Adds an image.

        Args:
            found: Detections of the image.
            outcomes: Outcomes as of `matching.match`, `[N]`.
            objects: Number of objects of this size per class, int `[C]`.
        """
        self.objects += objects
        counted = outcomes != IGNORED
        right = outcomes[counted] == TRUE_POSITIVE
        self.parts.append((found.scores[counted], found.classes[counted], right))
        self._sorted = 0

    def judged(self, class_index: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the scores of a class's detections, and whether each is correct."""
        if len(self.parts) != self._sorted:
            scores, classes, right = (np.concatenate(column) for column in zip(*self.parts, strict=True))
            # Sorted once, so that each of possibly thousands of classes is a slice.
            order = np.argsort(classes, kind="stable")
            self.parts, self._sorted = [(scores[order], classes[order], right[order])], 1
        if not self.parts:
            return np.zeros(0, np.float32), np.zeros(0, bool)
        scores, classes, right = self.parts[0]
        rows = slice(*np.searchsorted(classes, [class_index, class_index + 1]))
        return scores[rows], right[rows]


class ErrorAnalysis:
    """Error analysis, updated batch by batch; all results can be read at any time.

    Attributes:
        confused: Confusions of labeled and detected classes, at `shown_score`.
        right, wrong: Correct and wrong detections by class and score, int `[C, BINS]`.
        false_alarms, misses: Worst errors of each kind.
    """

    def __init__(
        self, settings: EvaluationSettings, *, shown_score: float, mean: np.ndarray, scale: float, bgr: bool
    ) -> None:
        """Creates an analysis without images.

        Args:
            settings: Settings of the evaluation; only the first IoU threshold is used.
            shown_score: Lowest score of detections that a user would see.
            mean: Channel means that were subtracted from the images, float `[channels]`.
            scale: Divisor that was applied to the images.
            bgr: Whether channels are in BGR order.
        """
        count = len(settings.class_names)
        self.settings, self.shown_score = settings, shown_score
        self.confused = Confusion(count)
        self.right, self.wrong = (np.zeros((count, BINS), np.int64) for _ in range(2))
        self.false_alarms, self.misses = TopErrors(), TopErrors()
        self._mean, self._scale, self._bgr = mean, scale, bgr
        self._by_size = {size: _OfSize(np.zeros(count, np.int64)) for size in SIZES}

    def update(self, detections: DetectionBatch, batch: Mapping[str, np.ndarray]) -> None:
        """Analyzes one batch.

        Args:
            detections: Detections in `batch["images"]`.
            batch: Validation batch; see `frcnn.evaluation.evaluator.Evaluator.update`.
        """
        real = batch.get("image_valid", np.ones(len(batch["images"]), bool))
        for index in np.flatnonzero(real).tolist():
            objects = objects_in(batch, index)
            found = found_in(detections, batch, index, self.settings.score_threshold)
            self._see(objects, found, batch, index)

    @property
    def confusion(self) -> np.ndarray:
        """Confusion matrix, int `[C + 1, C + 1]`. Last row: false alarms; last column: misses."""
        return self.confused.table(self.settings.class_names, len(self.settings.class_names)).matrix

    def size_results(self, class_index: int) -> dict[str, SizeResult]:
        """Computes the average precision over small, medium and large objects, by COCO's sizes.

        Detections that match objects of another size are ignored. Those without an object count by their own
        size.

        Args:
            class_index: Index of the class.

        Returns:
            Results by size.
        """
        return {size: self._size_result(class_index, size) for size in SIZES}

    def _size_result(self, class_index: int, size: str) -> SizeResult:
        found = self._by_size[size]
        objects = int(found.objects[class_index])
        if not objects:
            return SizeResult(None, 0)
        scores, right = found.judged(class_index)
        curve = trace_curve(scores, right, objects)
        ap = average_precision_voc07(curve) if self.settings.voc07 else average_precision_voc12(curve)
        return SizeResult(ap, objects)

    def _see(self, objects: Objects, found: Found, batch: Mapping[str, Any], index: int) -> None:
        overlaps = inclusive_iou(found.boxes, objects.boxes)
        iou = overlaps * (found.classes[:, None] == objects.classes[None, :])
        threshold = np.asarray(self.settings.iou_thresholds[:1])
        coco = self.settings.coco_matching
        outcomes = match(found.scores, iou, objects.difficult, threshold, coco=coco)
        outcomes = excuse(outcomes, found.boxes, objects.regions, threshold)[:, 0]
        self._count_scores(found, outcomes)
        self._count_sizes(objects, found, iou, _pixel_area(batch, index))
        shown = found.scores >= self.shown_score
        self._count_confusion(objects, found, overlaps, shown)
        self._keep_mistakes(objects, found, iou, outcomes, shown, batch, index)

    def _count_scores(self, found: Found, outcomes: np.ndarray) -> None:
        bins = np.minimum((found.scores * BINS).astype(int), BINS - 1)
        for histogram, outcome in ((self.right, TRUE_POSITIVE), (self.wrong, FALSE_POSITIVE)):
            chosen = outcomes == outcome
            np.add.at(histogram, (found.classes[chosen], bins[chosen]), 1)

    def _count_sizes(self, objects: Objects, found: Found, iou: np.ndarray, pixel: float) -> None:
        areas, found_areas = _areas(objects.boxes) * pixel, _areas(found.boxes) * pixel
        count = len(self.settings.class_names)
        threshold = np.asarray(self.settings.iou_thresholds[:1])
        for size, (low, high) in SIZES.items():
            others = objects.difficult | (areas < low) | (areas >= high)
            outcomes = match(found.scores, iou, others, threshold, coco=self.settings.coco_matching)
            outcomes = excuse(outcomes, found.boxes, objects.regions, threshold)[:, 0]
            elsewhere = (outcomes == FALSE_POSITIVE) & ((found_areas < low) | (found_areas >= high))
            outcomes = np.where(elsewhere, IGNORED, outcomes)
            self._by_size[size].add(found, outcomes, np.bincount(objects.classes[~others], minlength=count))

    def _count_confusion(
        self, objects: Objects, found: Found, overlaps: np.ndarray, shown: np.ndarray
    ) -> None:
        """Matches shown detections to objects of any class.

        Detections of difficult objects are not counted, nor are wrong ones in ignored regions.
        """
        nobody = len(self.settings.class_names)
        scores, classes = found.scores[shown], found.classes[shown]
        free = np.ones(len(objects.classes), bool)
        excused = share_inside(found.boxes[shown], objects.regions) >= self.settings.iou_thresholds[0]
        for detection in np.argsort(-scores, kind="stable"):
            iou = np.where(free, overlaps[shown][detection], 0.0)
            best = int(iou.argmax()) if len(iou) else -1
            if best < 0 or iou[best] < self.settings.iou_thresholds[0]:
                if not excused[detection]:
                    self.confused.add(nobody, classes[detection])
                continue
            free[best] = objects.difficult[best] and not self.settings.coco_matching
            if not objects.difficult[best]:
                self.confused.add(objects.classes[best], classes[detection])
        for missed in objects.classes[free & ~objects.difficult]:
            self.confused.add(missed, nobody)

    def _keep_mistakes(
        self,
        objects: Objects,
        found: Found,
        iou: np.ndarray,
        outcomes: np.ndarray,
        shown: np.ndarray,
        batch: Mapping[str, Any],
        index: int,
    ) -> None:
        names, frame = self.settings.class_names, _frame(batch, index)

        def offer(worst: TopErrors, priority: float, box: np.ndarray, class_index: int, text: str) -> None:
            if worst.takes(priority):
                pixels = self._pixels(batch["images"][index])
                worst.add(ErrorExample.cut(priority, pixels, box, class_index, f"{text}, {frame}"))

        for detection in np.flatnonzero((outcomes == FALSE_POSITIVE) & shown):
            name, score = names[found.classes[detection]], float(found.scores[detection])
            offer(
                *(self.false_alarms, score, found.boxes[detection], int(found.classes[detection])),
                f"{name} {score:.2f}",
            )
        # An object without a matching detection is a worse miss than one with a low-scoring match.
        reached = np.where(iou >= self.settings.iou_thresholds[0], found.scores[:, None], 0.0)
        best = reached.max(axis=0, initial=0.0)
        for missed in np.flatnonzero((best < self.shown_score) & ~objects.difficult):
            height, width = _sides(objects.boxes[missed])
            score = float(best[missed])
            seen = f"best score {score:.2f}" if score > 0.0 else "no matching detection"
            name = names[objects.classes[missed]]
            priority = 1.0 - score + min(height * width, 1e6) * 1e-9
            offer(
                *(self.misses, priority, objects.boxes[missed], int(objects.classes[missed])),
                f"{name}: {seen}",
            )

    def _pixels(self, image: np.ndarray) -> np.ndarray:
        """Converts an image of the network input to RGB, uint8 `[H, W, 3]`."""
        values = np.clip(np.rint(image * self._scale + self._mean), 0, 255).astype(np.uint8)
        values = np.repeat(values, 3, axis=-1) if values.shape[-1] == 1 else values
        return values[..., ::-1] if self._bgr else values


def _frame(batch: Mapping[str, Any], index: int) -> str:
    if "frame_id" not in batch:
        return f"image {index}"
    name = batch["frame_id"][index]
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def _pixel_area(batch: Mapping[str, Any], index: int) -> float:
    """Returns how many pixels of the original image one pixel of the network input covers."""
    if "original_size" not in batch or "size" not in batch:
        return 1.0
    original, size = (np.asarray(batch[name][index], float) for name in ("original_size", "size"))
    return float(np.prod(original / size))


def _sides(box: np.ndarray) -> tuple[float, float]:
    return float(box[2] - box[0] + 1), float(box[3] - box[1] + 1)


def _areas(boxes: np.ndarray) -> np.ndarray:
    sides = np.asarray(boxes, float)[:, 2:] - np.asarray(boxes, float)[:, :2] + 1.0
    return np.asarray(np.prod(sides, axis=-1))
