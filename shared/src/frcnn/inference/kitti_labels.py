"""Formats detections as lines of a KITTI label file."""

from collections.abc import Sequence

import numpy as np


def kitti_lines(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, class_names: Sequence[str]
) -> str:
    """Formats detections as KITTI lines: `class 0 0 0 x1 y1 x2 y2 0 0 0 0 0 0 0 score`.

    Truncation, occlusion, angles and the 3D box are unknown and written as 0. White space in a class name
    becomes `_`, because white space separates the fields.

    Args:
        boxes: Boxes, `yxyx` in pixels of the original image, `[N, 4]`.
        scores: Scores, `[N]`.
        classes: Indices into `class_names`, int `[N]`.
        class_names: Class names, without background.

    Returns:
        Text of the file; empty if N is 0.
    """
    names = ["_".join(name.split()) for name in class_names]
    return "".join(
        f"{names[index]} 0 0 0 {x1:.2f} {y1:.2f} {x2:.2f} {y2:.2f} 0 0 0 0 0 0 0 {score:.7f}\n"
        for (y1, x1, y2, x2), score, index in zip(
            boxes.tolist(), scores.tolist(), classes.tolist(), strict=True
        )
    )
