"""Matches detections to objects.

D detections, G objects, T IoU thresholds; boxes are `yxyx` in pixels.

These are small problems per image, solved in NumPy: a compiled graph would cost more than it saves.
"""

import numpy as np

# Outcomes of a detection. IGNORED: it matches a difficult object, which is neither right nor wrong.
IGNORED, FALSE_POSITIVE, TRUE_POSITIVE = -1, 0, 1


# Added to the union when detections are judged, as in TAO.
UNION_EXTRA = 1e-6


def inclusive_iou(boxes: np.ndarray, others: np.ndarray, extra: float = UNION_EXTRA) -> np.ndarray:
    """Computes the IoU with sides that include the last pixel, as in PASCAL VOC.

    With 1e-6 added to the union, as in TAO, identical boxes stay just below 1, and an IoU equal to the
    threshold does not reach it (docs/evaluation.md).

    Args:
        boxes: Boxes, `[D, 4]`.
        others: Other boxes, `[G, 4]`.
        extra: Number added to the union.

    Returns:
        IoU in 0..1, float64 `[D, G]`. Boxes with x2 <= x1 or y2 <= y1, such as padding, overlap nothing.
    """
    first = np.asarray(boxes, np.float64).reshape(-1, 4)[:, None, :]
    second = np.asarray(others, np.float64).reshape(-1, 4)[None, :, :]
    near = np.maximum(first[..., :2], second[..., :2])
    far = np.minimum(first[..., 2:], second[..., 2:])
    intersection = np.prod(np.maximum(far - near + 1.0, 0.0), axis=-1)
    areas = np.prod(first[..., 2:] - first[..., :2] + 1.0, axis=-1)
    other_areas = np.prod(second[..., 2:] - second[..., :2] + 1.0, axis=-1)
    iou = intersection / (areas + other_areas - intersection + extra)
    return np.where(_has_area(first) & _has_area(second), iou, 0.0)


def match(
    scores: np.ndarray, iou: np.ndarray, difficult: np.ndarray, thresholds: np.ndarray, *, coco: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Matches detections to objects, best score first, each ordinary object at most once.

    In PASCAL VOC's rule, which TAO uses, the object that a detection overlaps most decides, even if it has
    been found already. A difficult object makes the detection neither right nor wrong, any number of times.
    An ordinary object is found by the first detection; further ones are wrong.

    In COCO's rule, a detection takes the object that it overlaps most among those that are still free and
    reach the threshold; ordinary objects take precedence over difficult ones. So a second detection of an
    object may find a neighbor, and a difficult object excuses only one detection. pycocotools does the same.

    Args:
        scores: Scores, `[D]`; equal scores keep their order.
        iou: IoU of detections and objects, `[D, G]`, 0 where the classes differ.
        difficult: Whether an object is difficult, bool `[G]`.
        thresholds: IoU thresholds, `[T]`, each > 0.
        coco: Whether to use COCO's rule instead of PASCAL VOC's.

    Returns:
        Tuple of the outcomes, IGNORED, FALSE_POSITIVE or TRUE_POSITIVE, int8 `[D, T]`, in the order of
        `scores`, and the indices of the objects found, int64 `[D, T]`; -1 for detections that are not true
        positives.
    """
    outcomes = np.full((len(scores), len(thresholds)), FALSE_POSITIVE, np.int8)
    partners = np.full(outcomes.shape, -1)
    if iou.size == 0:
        return outcomes, partners
    rule = _match_by_coco if coco else _match_by_voc
    order = np.argsort(-scores, kind="stable")
    # Most detections overlap no object enough; only the others need a loop.
    rule(order[iou[order].max(axis=1) >= thresholds.min()], iou, difficult, thresholds, outcomes, partners)
    return outcomes, np.where(outcomes == TRUE_POSITIVE, partners, -1)


def _match_by_voc(
    order: np.ndarray,
    iou: np.ndarray,
    difficult: np.ndarray,
    thresholds: np.ndarray,
    outcomes: np.ndarray,
    partners: np.ndarray,
) -> None:
    free = np.ones((len(thresholds), iou.shape[1]), bool)
    for detection in order:
        best = iou[detection].argmax()
        reached = iou[detection, best] >= thresholds
        if difficult[best]:
            outcomes[detection, reached] = IGNORED
        else:
            outcomes[detection, reached & free[:, best]] = TRUE_POSITIVE
            free[reached, best] = False
        partners[detection] = best


def _match_by_coco(
    order: np.ndarray,
    iou: np.ndarray,
    difficult: np.ndarray,
    thresholds: np.ndarray,
    outcomes: np.ndarray,
    partners: np.ndarray,
) -> None:
    free = np.ones((len(thresholds), iou.shape[1]), bool)
    kind = np.where(difficult, IGNORED, TRUE_POSITIVE).astype(np.int8)
    preference = np.where(difficult, 0.0, 2.0)
    for detection in order:
        overlaps = iou[detection]
        eligible = free & (overlaps >= thresholds[:, None])
        best = np.where(eligible, overlaps + preference, 0.0).argmax(axis=1)
        hit = np.flatnonzero(eligible.any(axis=1))
        free[hit, best[hit]] = False
        outcomes[detection, hit] = kind[best[hit]]
        partners[detection, hit] = best[hit]


def _has_area(boxes: np.ndarray) -> np.ndarray:
    return np.asarray(np.all(boxes[..., 2:] > boxes[..., :2], axis=-1))
