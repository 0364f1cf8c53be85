"""Sizes and positions of anchors, without TensorFlow."""

from collections.abc import Sequence

import numpy as np


def anchor_sizes(scales: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    """Computes width and height of the anchors of one cell.

    Anchor `scale_index * len(ratios) + ratio_index` is `scale * sqrt(ratio)` wide and
    `scale / sqrt(ratio)` high: its area is the square of the scale, its ratio is width / height.

    Args:
        scales: Scales, px.
        ratios: Ratios of width to height.

    Returns:
        Widths and heights in pixels, float32 `[A, 2]`.
    """
    roots = np.sqrt(np.asarray(ratios, np.float64))
    scale, root = (grid.ravel() for grid in np.meshgrid(np.asarray(scales, np.float64), roots, indexing="ij"))
    return np.stack([scale * root, scale / root], axis=1).astype(np.float32)


def anchor_grid(
    rows: int, columns: int, scales: Sequence[float], ratios: Sequence[float], stride: int = 16
) -> np.ndarray:
    """Generates all anchors of a feature map.

    Anchor `a` of a cell has index `(row * columns + column) * A + a` and is centered on the cell:
    y = stride * (row + 0.5), x = stride * (column + 0.5). Anchors may extend beyond the image.

    Args:
        rows: Rows of the feature map.
        columns: Columns of the feature map.
        scales: Scales, px.
        ratios: Ratios of width to height.
        stride: Pixels per cell.

    Returns:
        Anchors, `yxyx` in pixels, float32 `[rows * columns * A, 4]`.
    """
    half = anchor_sizes(scales, ratios)[:, ::-1] / 2
    y, x = np.meshgrid(stride * (np.arange(rows) + 0.5), stride * (np.arange(columns) + 0.5), indexing="ij")
    centers = np.stack([y, x], axis=-1).astype(np.float32)[:, :, None, :]
    return np.concatenate([centers - half, centers + half], axis=-1).reshape(-1, 4)
