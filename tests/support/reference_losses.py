"""Plain numpy losses: a second implementation, independent of the library.

All take a batch and return the number without its lambda. Divisors are the configured mini batches, not
actual counts.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

EPSILON = 1e-7


def smooth_l1(difference: float, sigma: float) -> float:
    """0.5 sigma^2 d^2 where |d| <= 1 / sigma^2, beyond that |d| - 0.5 / sigma^2."""
    size = abs(difference)
    if size <= 1.0 / sigma**2:
        return 0.5 * sigma**2 * size**2
    return size - 0.5 / sigma**2


def rpn_class_loss(
    probabilities: ArrayLike, sampled: ArrayLike, positive: ArrayLike, mini_batch: int
) -> float:
    """Mean over images of the summed cross entropy of sampled anchors / mini_batch; all inputs [B, N]."""
    chances = np.clip(np.asarray(probabilities, np.float64), EPSILON, 1 - EPSILON)
    flags = np.asarray(positive, bool)
    total = 0.0
    for place in zip(*np.nonzero(np.asarray(sampled, bool)), strict=True):
        total -= math.log(chances[place] if flags[place] else 1.0 - chances[place])
    return total / mini_batch / len(chances)


def rpn_regress_loss(
    codes: ArrayLike, target_codes: ArrayLike, positive: ArrayLike, mini_batch: int
) -> float:
    """Mean over images of the smooth L1 (sigma 3) of positive anchors / mini_batch; codes [B, N, 4]."""
    differences = np.asarray(codes, np.float64) - np.asarray(target_codes, np.float64)
    chosen = differences[np.asarray(positive, bool)]
    return sum(smooth_l1(d, 3.0) for d in chosen.ravel()) / mini_batch / len(differences)


def roi_class_loss(probabilities: ArrayLike, labels: ArrayLike, sampled: ArrayLike, mini_batch: int) -> float:
    """Cross entropy of sampled RoIs / mini_batch / B; probabilities [B, K, C + 1], labels [B, K]."""
    chances = np.clip(np.asarray(probabilities, np.float64), EPSILON, 1 - EPSILON)
    classes = np.asarray(labels)
    total = 0.0
    for image, slot in zip(*np.nonzero(np.asarray(sampled, bool)), strict=True):
        total -= math.log(chances[image, slot, classes[image, slot]])
    return total / mini_batch / len(chances)


def roi_regress_loss(
    codes: ArrayLike, target_codes: ArrayLike, labels: ArrayLike, positive: ArrayLike, mini_batch: int
) -> float:
    """Smooth L1 (sigma 1) of positive RoIs' true class / mini_batch / B; codes [B, K, C, 4]."""
    predicted, targets = np.asarray(codes, np.float64), np.asarray(target_codes, np.float64)
    classes = np.asarray(labels)
    total = 0.0
    for image, slot in zip(*np.nonzero(np.asarray(positive, bool)), strict=True):
        differences = predicted[image, slot, classes[image, slot]] - targets[image, slot]
        total += sum(smooth_l1(d, 1.0) for d in differences)
    return total / mini_batch / len(predicted)
