"""Plain numpy proposals and detections: decode, sort, suppress.

A second implementation, independent of the library. One image at a time. The order among equal scores is
defined: lower index first, proposals in (anchor, row, column) order, detections in (RoI, class) order.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tests.support import reference_boxes as reference

Array = NDArray[np.float64]


def suppress(boxes: Array, scores: Array, *, iou_threshold: float, limit: int) -> list[int]:
    """Greedy NMS: indices of the kept boxes, best first. IoU without +1; a box goes if IoU > threshold."""
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if len(kept) == limit:
            break
        rivals = boxes[kept].reshape(-1, 4)
        if (reference.iou_matrix(rivals, boxes[[index]], inclusive=False) <= iou_threshold).all():
            kept.append(int(index))
    return kept


def proposals(
    scores: ArrayLike,
    codes: ArrayLike,
    anchors: ArrayLike,
    *,
    height: float,
    width: float,
    pre_nms: int,
    post_nms: int,
    iou_threshold: float,
    min_size: float = 1.0,
) -> Array:
    """Best proposals [R, 4], R <= post_nms, of scores [h, w, A], codes [h, w, 4A], anchors [h*w*A, 4]."""
    score_map = np.asarray(scores, np.float64)
    rows, columns, kinds = score_map.shape
    code_map = np.asarray(codes, np.float64).reshape(rows, columns, kinds, 4)
    anchor_map = np.asarray(anchors, np.float64).reshape(rows, columns, kinds, 4)
    boxes, values = [], []
    for kind in range(kinds):
        for row in range(rows):
            for column in range(columns):
                place = row, column, kind
                box = reference.decode(code_map[place], anchor_map[place], inclusive=False)
                box = reference.clip(box, height, width)
                if box[2] - box[0] > min_size and box[3] - box[1] > min_size:
                    boxes.append(box)
                    values.append(score_map[place])
    best = np.argsort(-np.array(values), kind="stable")[:pre_nms]
    candidates, candidate_scores = np.reshape(boxes, (-1, 4))[best], np.array(values)[best]
    return candidates[suppress(candidates, candidate_scores, iou_threshold=iou_threshold, limit=post_nms)]


class Detection(NamedTuple):
    """One detection: box [4] yxyx px, score, class id, and the RoI it came from."""

    box: Array
    score: float
    label: int
    roi: int


def detections(
    rois: ArrayLike,
    roi_valid: ArrayLike,
    probabilities: ArrayLike,
    codes: ArrayLike,
    *,
    height: float,
    width: float,
    score_threshold: float,
    iou_threshold: float,
    max_detections: int,
    code_weights: tuple[float, float, float, float],
) -> list[Detection]:
    """Detections, best first, from rois [R, 4], roi_valid [R], probabilities [R, C + 1], codes [R, C, 4]."""
    roi_array, valid = np.asarray(rois, np.float64), np.asarray(roi_valid, bool)
    scores = np.asarray(probabilities, np.float64)
    code_array = np.asarray(codes, np.float64) / np.asarray(code_weights, np.float64)
    found: list[Detection] = []
    for label in range(code_array.shape[1]):
        rows = [r for r in range(len(roi_array)) if valid[r] and scores[r, label] > score_threshold]
        decoded = [reference.decode(code_array[r, label], roi_array[r], inclusive=True) for r in rows]
        boxes = reference.clip(np.reshape(decoded, (-1, 4)), height, width)
        kept = suppress(boxes, scores[rows, label], iou_threshold=iou_threshold, limit=max_detections)
        found += [Detection(boxes[i], float(scores[rows[i], label]), label, rows[i]) for i in kept]
    return sorted(found, key=lambda one: (-one.score, one.roi, one.label))[:max_detections]
