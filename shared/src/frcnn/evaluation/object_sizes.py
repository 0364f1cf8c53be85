"""Average precision over small, medium and large objects. N detections, G objects, C classes."""

import dataclasses

import numpy as np

from frcnn.evaluation.average_precision import average_precision_voc07, average_precision_voc12, trace_curve
from frcnn.evaluation.evaluation_state import Found, Objects
from frcnn.evaluation.ignored_regions import ignore_in_regions
from frcnn.evaluation.matching import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE, match
from frcnn.evaluation.settings import EvaluationSettings

# COCO's ranges of object areas, in pixels of the original image.
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, np.inf)}


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


class SizeAnalysis:
    """Results by size of the objects, updated image by image.

    Detections that match objects of another size are ignored. Those without an object count by their own
    size.
    """

    def __init__(self, settings: EvaluationSettings) -> None:
        """Creates an analysis without images.

        Args:
            settings: Settings of the evaluation; only the first IoU threshold is used.
        """
        self._settings = settings
        self._classes = len(settings.class_names)
        self._by_size = {size: _OfSize(np.zeros(self._classes, np.int64)) for size in SIZES}

    def add(self, objects: Objects, found: Found, iou: np.ndarray, pixel: float) -> None:
        """Adds an image.

        Args:
            objects: Labeled objects.
            found: Detections.
            iou: IoU of detections and objects of the same class, 0 for others, `[N, G]`.
            pixel: Pixels of the original image that one pixel of the network input covers.
        """
        areas, found_areas = _areas(objects.boxes) * pixel, _areas(found.boxes) * pixel
        threshold = np.asarray(self._settings.iou_thresholds[:1])
        for size, (low, high) in SIZES.items():
            others = objects.difficult | (areas < low) | (areas >= high)
            outcomes, _ = match(found.scores, iou, others, threshold, coco=self._settings.coco_matching)
            outcomes = ignore_in_regions(outcomes, found.boxes, objects.regions, threshold)[:, 0]
            elsewhere = (outcomes == FALSE_POSITIVE) & ((found_areas < low) | (found_areas >= high))
            outcomes = np.where(elsewhere, IGNORED, outcomes)
            counts = np.bincount(objects.classes[~others], minlength=self._classes)
            self._by_size[size].add(found, outcomes, counts)

    def results(self, class_index: int) -> dict[str, SizeResult]:
        """Computes the average precision of a class over the objects of each size.

        Args:
            class_index: Index of the class.

        Returns:
            Results by size.
        """
        return {size: self._result(class_index, size) for size in SIZES}

    def _result(self, class_index: int, size: str) -> SizeResult:
        of_size = self._by_size[size]
        objects = int(of_size.objects[class_index])
        if not objects:
            return SizeResult(None, 0)
        scores, right = of_size.judged(class_index)
        curve = trace_curve(scores, right, objects)
        ap = average_precision_voc07(curve) if self._settings.voc07 else average_precision_voc12(curve)
        return SizeResult(ap, objects)


def _areas(boxes: np.ndarray) -> np.ndarray:
    sides = np.asarray(boxes, float)[:, 2:] - np.asarray(boxes, float)[:, :2] + 1.0
    return np.asarray(np.prod(sides, axis=-1))
