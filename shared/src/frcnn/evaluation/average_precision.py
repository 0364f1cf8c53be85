"""Computes precision, recall and average precision of one class at one IoU threshold."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Curve:
    """Counts at each of P distinct scores, in descending order.

    Detections of equal score are counted together, because no threshold can separate them. So the curve does
    not depend on the order of images, and evaluation sharded over ranks gives the same values as one pass.

    Attributes:
        scores: Scores, float `[P]`.
        found: Objects found (true positives) down to each score, int64 `[P]`.
        shown: Detections (true and false positives) down to each score, int64 `[P]`.
        objects: Number of objects to find, > 0.
    """

    scores: np.ndarray
    found: np.ndarray
    shown: np.ndarray
    objects: int

    @property
    def recall(self) -> np.ndarray:
        """Recall at each score, float64 `[P]`, ascending."""
        return self.found / self.objects

    @property
    def precision(self) -> np.ndarray:
        """Precision at each score, float64 `[P]`."""
        return np.asarray(self.found / self.shown)

    @property
    def envelope(self) -> np.ndarray:
        """Best precision at this or a higher recall, float64 `[P]`, descending."""
        return np.maximum.accumulate(self.precision[::-1])[::-1]

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall at each score, float64 `[P]`."""
        return np.asarray(2.0 * self.found / (self.shown + self.objects))


def trace_curve(scores: np.ndarray, correct: np.ndarray, objects: int) -> Curve:
    """Computes the curve of a class.

    Args:
        scores: Scores of the detections, `[N]`.
        correct: Whether a detection is a true positive, bool `[N]`.
        objects: Number of objects to find, > 0.

    Returns:
        Counts at each distinct score.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last_of_its_score = np.append(ranked[1:] != ranked[:-1], [True])[: len(ranked)]
    points = np.flatnonzero(last_of_its_score)
    found = np.cumsum(correct[order], dtype=np.int64)[points]
    return Curve(ranked[points], found, points.astype(np.int64) + 1, objects)


def average_precision_voc12(curve: Curve) -> float:
    """Computes the area under the precision envelope (PASCAL VOC 2010 and later).

    Args:
        curve: Curve of a class.

    Returns:
        Average precision in 0..1.
    """
    steps = np.diff(curve.recall, prepend=0.0)
    return float(np.sum(steps * curve.envelope))


def average_precision_voc07(curve: Curve) -> float:
    """Computes the mean of the best precision at recall 0, 0.1, ... 1 (PASCAL VOC 2007).

    Recalls are compared as fractions: as floats, 3 of 10 objects would miss recall 0.3 by a rounding error.

    Args:
        curve: Curve of a class.

    Returns:
        Average precision in 0..1.
    """
    reached = [curve.found * 10 >= tenth * curve.objects for tenth in range(11)]
    return float(np.mean([curve.precision[enough].max(initial=0.0) for enough in reached]))
