"""Outputs of a detector as NumPy arrays of static shape, the same for all runtimes."""

from typing import NamedTuple

import numpy as np

from frcnn.errors import DataError


class DetectionBatch(NamedTuple):
    """Detections of B images with K slots each; slots from `count` on are padding and zero.

    Attributes:
        boxes: Boxes, `yxyx` in pixels of the network input, float32 `[B, K, 4]`.
        scores: Scores in 0..1, float32 `[B, K]`.
        classes: Indices into the spec's class names, without background, int `[B, K]`.
        count: Numbers of detections, int `[B]`.
        rois: Proposals that the boxes were computed from, `yxyx`, float32 `[B, R, 4]`, zero for padding; None
            if the runtime does not output them.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    count: np.ndarray  # type: ignore[assignment]  # overrides tuple.count
    rois: np.ndarray | None = None


def _whole(images: np.ndarray) -> np.ndarray:
    """Returns the sizes of images `[B, H, W, channels]` without padding, px, int32 `[B, 2]`."""
    return np.tile(np.asarray(images.shape[1:3], np.int32), (len(images), 1))


def checked_sizes(images: np.ndarray, sizes: np.ndarray | None, smallest: int) -> np.ndarray:
    """Checks the sizes of a batch of images.

    Args:
        images: Images, `[B, H, W, channels]`.
        sizes: Heights and widths without padding, px, `[B, 2]`; None without padding.
        smallest: Minimum height and width of the batch, px; smaller images have an empty feature map.

    Returns:
        Heights and widths, px, int32 `[B, 2]`.

    Raises:
        DataError: A size exceeds the images or is below 1, or the images are smaller than `smallest`.
    """
    height, width = images.shape[1:3]
    if min(height, width) < smallest:
        raise DataError(
            f"images of {height}x{width} px (height x width): expected at least {smallest} px per side"
        )
    found = _whole(images) if sizes is None else np.asarray(sizes, np.int32)
    if found.shape != (len(images), 2) or (found < 1).any() or (found > [height, width]).any():
        raise DataError(
            f"sizes {found.tolist()} of {len(images)} images padded to {height}x{width} px: "
            "expected one height and width within that size per image"
        )
    return found
