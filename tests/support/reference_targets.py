"""Plain numpy training targets: which anchor or RoI learns what.

A second implementation, independent of the library. One image at a time, true boxes without padding. What the
library draws at random is given here as the set to draw from, so that tests check membership and counts.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tests.support import reference_boxes as reference


class Anchors(NamedTuple):
    """Role of each anchor before sampling, [N] each; `matched` means something for positives only."""

    positive: NDArray[np.bool_]
    negative: NDArray[np.bool_]
    matched: NDArray[np.int64]
    rescued: tuple[tuple[int, int, float], ...]
    """(true box, anchor, IoU) of each rescue, in the order of the true boxes."""


def inside(anchors: ArrayLike, height: float, width: float) -> NDArray[np.bool_]:
    """Finds the anchors within the image, including border pixels."""
    y1, x1, y2, x2 = np.asarray(anchors, np.float64).T
    return (y1 >= 0) & (x1 >= 0) & (y2 <= height - 1) & (x2 <= width - 1)


def of_shown_cells(anchors: ArrayLike, height: float, width: float, stride: int) -> NDArray[np.bool_]:
    """Finds the anchors of cells that show a part of the image."""
    y1, x1, y2, x2 = np.asarray(anchors, np.float64).T
    return ((y1 + y2) / 2 - stride / 2 < height) & ((x1 + x2) / 2 - stride / 2 < width)


def assign_anchors(
    anchors: ArrayLike,
    gt_boxes: ArrayLike,
    *,
    height: float,
    width: float,
    min_overlap: float,
    max_overlap: float,
    inside_only: bool = False,
    stride: int = 16,
) -> Anchors:
    """Thresholds first, then the rescue of true boxes that no anchor stands for."""
    limits = (anchors, height, width)
    within = inside(*limits) if inside_only else of_shown_cells(*limits, stride)
    overlaps = _overlaps(anchors, gt_boxes) * within[:, None]
    n, g = overlaps.shape
    if g == 0:
        return Anchors(np.zeros(n, bool), within, np.zeros(n, np.int64), ())
    best_gt = overlaps.argmax(axis=1)
    best = overlaps.max(axis=1)
    positive = best >= max_overlap
    negative = (best <= min_overlap) & within & ~positive
    matched = best_gt.copy()
    claimed = {int(index) for index in best_gt[positive]}
    rescued = []
    for index in range(g):
        anchor = int(overlaps[:, index].argmax())
        if index in claimed or overlaps[anchor, index] <= 0.0:
            continue
        positive[anchor], negative[anchor], matched[anchor] = True, False, index
        rescued.append((index, anchor, float(overlaps[anchor, index])))
    return Anchors(positive, negative, matched, tuple(rescued))


def rpn_sample_counts(assignment: Anchors, mini_batch: int) -> tuple[int, int]:
    """Computes the numbers of positives and negatives in the sample."""
    positives = min(int(assignment.positive.sum()), mini_batch // 2)
    return positives, min(int(assignment.negative.sum()), mini_batch - positives)


class Candidates(NamedTuple):
    """RoIs that may be drawn, with what each would learn."""

    positive: list[NDArray[np.float64]]
    negative: list[NDArray[np.float64]]


def roi_candidates(
    rois: ArrayLike, gt_boxes: ArrayLike, *, min_overlap: float, max_overlap: float, gt_as_roi: bool = False
) -> Candidates:
    """Splits real RoIs [R, 4] (no padding) by their best IoU; both lists are empty without a true box."""
    truth = np.reshape(np.asarray(gt_boxes, np.float64), (-1, 4))
    boxes = np.reshape(np.asarray(rois, np.float64), (-1, 4))
    if gt_as_roi:
        boxes = np.concatenate([boxes, truth])
    found = Candidates([], [])
    if len(truth) == 0:
        return found
    for box, best in zip(boxes, _overlaps(boxes, truth).max(axis=1), strict=True):
        if best >= max_overlap:
            found.positive.append(box)
        elif best >= min_overlap:
            found.negative.append(box)
    return found


def roi_sample_counts(candidates: Candidates, mini_batch: int) -> tuple[int, int]:
    """Slots that positives and negatives take; every slot is used unless there is nothing to draw from."""
    positives, negatives = len(candidates.positive), len(candidates.negative)
    if positives and negatives:
        kept = min(positives, int(0.25 * mini_batch))
        return kept, mini_batch - kept
    if positives:
        return mini_batch, 0
    return 0, mini_batch if negatives else 0


def roi_lesson(
    roi: ArrayLike,
    gt_boxes: ArrayLike,
    gt_classes: ArrayLike,
    code_weights: tuple[float, float, float, float],
) -> tuple[int, NDArray[np.float64]]:
    """Class and weighted code [4] of a positive RoI, from the (first) true box it overlaps most."""
    truth = np.reshape(np.asarray(gt_boxes, np.float64), (-1, 4))
    best = int(_overlaps(np.asarray(roi), truth)[0].argmax())
    code = reference.encode(truth[best], roi, inclusive=True) * np.asarray(code_weights, np.float64)
    return int(np.asarray(gt_classes)[best]), code


def _overlaps(boxes: ArrayLike, others: ArrayLike) -> NDArray[np.float64]:
    """Inclusive IoU to nine digits: equal overlaps must be equal, whatever rounding did to the corners."""
    return np.round(reference.iou_matrix(boxes, others, inclusive=True), 9)
