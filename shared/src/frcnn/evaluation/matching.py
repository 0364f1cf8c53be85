"""Which detection found which object. D detections, G objects, T IoU thresholds; boxes are `yxyx` pixels.

These are small per-image problems, solved in numpy: a compiled graph would cost more than it saves.
"""

import numpy as np

# What became of a detection. IGNORED: it found a difficult object, which is neither right nor wrong.
IGNORED, FALSE_POSITIVE, TRUE_POSITIVE = -1, 0, 1


# Added to the union where detections are judged, as in the reference.
UNION_EXTRA = 1e-6


def inclusive_iou(boxes: np.ndarray, others: np.ndarray, extra: float = UNION_EXTRA) -> np.ndarray:
    """Intersection over union with sides that count their last pixel, as in PASCAL VOC.

    With 1e-6 added to the union identical boxes stay just below 1, and an IoU of exactly the threshold does
    not reach it. Source: tao-facts section 6.

    Args:
        boxes: [D, 4].
        others: [G, 4].
        extra: Added to the union.

    Returns:
        float64 [D, G] in 0..1. A box whose x2 <= x1 or y2 <= y1 (padding among them) overlaps nothing.
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
) -> np.ndarray:
    """Matches detections to objects, best score first, each ordinary object at most once.

    By the rule of PASCAL VOC's development kit, which is the reference's too, the object that a detection
    overlaps most decides, found already or not: a difficult one makes it neither right nor wrong, however
    often it is found; an ordinary one is found by the first detection, and further ones are wrong.

    By COCO's rule a detection takes the object that it overlaps most among those that are still free and
    reach the threshold, and ordinary objects go before difficult ones: a second detection of an object may
    find a neighbor, and a difficult object excuses one. So does pycocotools.

    Args:
        scores: [D]; equal scores keep their order.
        iou: [D, G], 0 where the classes differ.
        difficult: bool [G].
        thresholds: [T], each > 0.
        coco: Whether COCO's rule counts instead of PASCAL VOC's.

    Returns:
        int8 [D, T] of IGNORED, FALSE_POSITIVE or TRUE_POSITIVE, in the order of `scores`.
    """
    outcomes = np.full((len(scores), len(thresholds)), FALSE_POSITIVE, np.int8)
    if iou.size == 0:
        return outcomes
    rule = _match_by_coco if coco else _match_by_voc
    order = np.argsort(-scores, kind="stable")
    # Most detections overlap nothing well enough; only the others need a loop.
    rule(order[iou[order].max(axis=1) >= thresholds.min()], iou, difficult, thresholds, outcomes)
    return outcomes


def _match_by_voc(
    order: np.ndarray, iou: np.ndarray, difficult: np.ndarray, thresholds: np.ndarray, outcomes: np.ndarray
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


def _match_by_coco(
    order: np.ndarray, iou: np.ndarray, difficult: np.ndarray, thresholds: np.ndarray, outcomes: np.ndarray
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


def _has_area(boxes: np.ndarray) -> np.ndarray:
    return np.all(boxes[..., 2:] > boxes[..., :2], axis=-1)
