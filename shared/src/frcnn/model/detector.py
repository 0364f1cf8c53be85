"""What a detector answers, whatever runs it: plain arrays of static shape."""

from typing import NamedTuple

import numpy as np

from frcnn.errors import DataError


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


def checked_sizes(images: np.ndarray, sizes: np.ndarray | None, smallest: int) -> np.ndarray:
    """`sizes` of images [B, H, W, channels] as int32 [B, 2]; without any, those of `whole`.

    Raises:
        DataError: A size is not within the images, or they are lower or narrower than `smallest` px, so
            that the feature map would have no cell.
    """
    height, width = images.shape[1:3]
    if min(height, width) < smallest:
        raise DataError(
            f"images of {height}x{width} px (height x width): expected {smallest} px a side or more"
        )
    found = whole(images) if sizes is None else np.asarray(sizes, np.int32)
    if found.shape != (len(images), 2) or (found < 1).any() or (found > [height, width]).any():
        raise DataError(
            f"sizes {found.tolist()} of {len(images)} images padded to {height}x{width} px: "
            "expected a height and width within that for each"
        )
    return found
