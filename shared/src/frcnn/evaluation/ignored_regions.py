"""KITTI's DontCare regions: nobody labelled them, and a detection there is neither right nor wrong.

D detections, R regions, T IoU thresholds; boxes are `yxyx` pixels.
"""

import numpy as np

from frcnn.evaluation.matching import FALSE_POSITIVE, IGNORED


def share_inside(boxes: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Returns the largest share of each box that lies in one region.

    Sides count their last pixel, as in `matching.inclusive_iou`, and 1e-6 is added to the area, so that a
    share of exactly the threshold does not reach it (KITTI's devkit: `>`).

    Args:
        boxes: [D, 4].
        regions: [R, 4]; rows without area are padding.

    Returns:
        float64 [D] in 0..1.
    """
    first = np.asarray(boxes, np.float64).reshape(-1, 4)[:, None, :]
    second = np.asarray(regions, np.float64).reshape(-1, 4)
    second = second[np.all(second[:, 2:] > second[:, :2], axis=-1)][None, :, :]
    near = np.maximum(first[..., :2], second[..., :2])
    far = np.minimum(first[..., 2:], second[..., 2:])
    common = np.prod(np.maximum(far - near + 1.0, 0.0), axis=-1)
    areas = np.prod(np.maximum(first[..., 2:] - first[..., :2] + 1.0, 0.0), axis=-1)
    shares: np.ndarray = (common / (areas + 1e-6)).max(axis=1, initial=0.0)
    return shares


def excuse(
    outcomes: np.ndarray, boxes: np.ndarray, regions: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """Turns wrong detections in regions into ignored ones.

    Source: KITTI development kit, evaluate_object: a false positive whose overlap with a DontCare area, as a
    share of the detection's own area, exceeds the threshold of the match is not counted.

    Args:
        outcomes: int8 [D, T], from `matching.match`.
        boxes: [D, 4], the detections.
        regions: [R, 4].
        thresholds: [T], IoU thresholds.

    Returns:
        int8 [D, T].
    """
    if not len(regions) or not len(boxes):
        return outcomes
    inside = share_inside(boxes, regions)[:, None] >= np.asarray(thresholds)[None, :]
    return np.where((outcomes == FALSE_POSITIVE) & inside, np.int8(IGNORED), outcomes)
