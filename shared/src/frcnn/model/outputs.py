"""What a detector answers, whatever runs it: plain arrays of static shape."""

from typing import NamedTuple

import numpy as np


class DetectionBatch(NamedTuple):
    """Detections of B images, K slots each; slots from `count` on are padding and hold zeros.

    Attributes:
        boxes: float32 [B, K, 4] yxyx, pixels of the network input.
        scores: float32 [B, K] in 0..1.
        classes: int [B, K], index into the spec's class names (background is not among them).
        count: int [B], how many of the K slots are real.
        rois: float32 [B, R, 4] yxyx, the proposals the boxes came from, all-zero rows for padding;
            None where they cannot be had, as from a TensorRT engine.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    count: np.ndarray  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    rois: np.ndarray | None = None


def whole(images: np.ndarray) -> np.ndarray:
    """Sizes int32 [B, 2] of images [B, H, W, channels] without padding."""
    return np.tile(np.asarray(images.shape[1:3], np.int32), (len(images), 1))
