"""Ignores detections in KITTI's DontCare regions, where objects are not labeled.

D detections, R regions, T IoU thresholds; boxes are `yxyx` in pixels.
"""

import numpy as np

from frcnn.evaluation.matching import FALSE_POSITIVE, IGNORED


def share_inside(boxes: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Computes the largest share of each box that lies in one region.

    Sides include the last pixel, as in `matching.inclusive_iou`. The area is increased by 1e-6, so a share
    equal to the threshold does not reach it (KITTI's devkit compares with `>`).

    Args:
        boxes: Boxes, `[D, 4]`.
        regions: Regions, `[R, 4]`; rows without area are padding.

    Returns:
        Shares in 0..1, float64 `[D]`.
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


def ignore_in_regions(
    outcomes: np.ndarray, boxes: np.ndarray, regions: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """Turns wrong detections in regions into ignored ones.

    Source: KITTI development kit, evaluate_object. A false positive is not counted if its overlap with a
    DontCare area, as a share of the detection's own area, exceeds the IoU threshold.

    Args:
        outcomes: Outcomes from `matching.match`, int8 `[D, T]`.
        boxes: Boxes of the detections, `[D, 4]`.
        regions: Regions, `[R, 4]`.
        thresholds: IoU thresholds, `[T]`.

    Returns:
        Outcomes, int8 `[D, T]`.
    """
    if not len(regions) or not len(boxes):
        return outcomes
    inside = share_inside(boxes, regions)[:, None] >= np.asarray(thresholds)[None, :]
    return np.where((outcomes == FALSE_POSITIVE) & inside, np.int8(IGNORED), outcomes)
