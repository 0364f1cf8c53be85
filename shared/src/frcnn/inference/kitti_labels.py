"""Detections as lines of a KITTI label file."""

from collections.abc import Sequence

import numpy as np


def kitti_lines(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, class_names: Sequence[str]
) -> str:
    """One line of 16 fields a detection: `class 0 0 0 x1 y1 x2 y2 0 0 0 0 0 0 0 score`.

    Truncation, occlusion, angles and the 3D box are not known and written as 0. White space in a class
    name becomes `_`, since fields end at white space.

    Args:
        boxes: [N, 4] yxyx, pixels of the original image.
        scores: [N].
        classes: int [N], index into `class_names`.
        class_names: Background is not among them.

    Returns:
        The file's text; empty if N is 0.
    """
    names = ["_".join(name.split()) for name in class_names]
    return "".join(
        f"{names[index]} 0 0 0 {x1:.2f} {y1:.2f} {x2:.2f} {y2:.2f} 0 0 0 0 0 0 0 {score:.7f}\n"
        for (y1, x1, y2, x2), score, index in zip(
            boxes.tolist(), scores.tolist(), classes.tolist(), strict=True
        )
    )
