"""Precision, recall and average precision of one class at one IoU threshold."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Curve:
    """Counts at each distinct score, highest score first. P points; all arrays are int64 [P].

    Detections of equal score stand or fall together: no threshold can part them. So the curve does not
    depend on the order of the images, and evaluation sharded over ranks gives the same number as one pass.

    Attributes:
        found: Objects found (true positives) down to this score.
        shown: Detections shown (true and false positives) down to this score.
        objects: How many objects there were to find, > 0.
    """

    found: np.ndarray
    shown: np.ndarray
    objects: int

    @property
    def recall(self) -> np.ndarray:
        """float64 [P], rising."""
        return self.found / self.objects

    @property
    def precision(self) -> np.ndarray:
        """float64 [P]."""
        return self.found / self.shown

    @property
    def envelope(self) -> np.ndarray:
        """float64 [P]: the best precision at this recall or a higher one, falling."""
        return np.maximum.accumulate(self.precision[::-1])[::-1]


def trace_curve(scores: np.ndarray, correct: np.ndarray, objects: int) -> Curve:
    """The curve of detections with `scores` [N], of which `correct` (bool [N]) are true positives."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last_of_its_score = np.append(ranked[1:] != ranked[:-1], [True])[: len(ranked)]
    points = np.flatnonzero(last_of_its_score)
    found = np.cumsum(correct[order], dtype=np.int64)[points]
    return Curve(found=found, shown=points.astype(np.int64) + 1, objects=objects)


def average_precision_voc12(curve: Curve) -> float:
    """Area under the precision envelope (PASCAL VOC 2010 and later)."""
    steps = np.diff(curve.recall, prepend=0.0)
    return float(np.sum(steps * curve.envelope))


def average_precision_voc07(curve: Curve) -> float:
    """Mean of the best precision at recall 0, 0.1, ... 1 (PASCAL VOC 2007).

    Recalls are compared as fractions: as floats, 3 of 10 objects would miss recall 0.3 by a rounding error.
    """
    reached = [curve.found * 10 >= tenth * curve.objects for tenth in range(11)]
    return float(np.mean([curve.precision[enough].max(initial=0.0) for enough in reached]))
