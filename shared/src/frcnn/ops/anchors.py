"""Anchors: the fixed boxes, several a cell of the feature map, that proposals are coded against."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def anchor_sizes(scales: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    """Width and height in pixels of a cell's anchors, float32 [A, 2].

    Anchor `scale_index * len(ratios) + ratio_index` is `scale * sqrt(ratio)` wide and
    `scale / sqrt(ratio)` high: its area is the scale's square and its ratio is width / height.
    """
    roots = np.sqrt(np.asarray(ratios, np.float64))
    scale, root = (grid.ravel() for grid in np.meshgrid(np.asarray(scales, np.float64), roots, indexing="ij"))
    return np.stack([scale * root, scale / root], axis=1).astype(np.float32)


def anchor_grid(
    rows: int, columns: int, scales: Sequence[float], ratios: Sequence[float], stride: int = 16
) -> np.ndarray:
    """All anchors of a feature map as `yxyx` pixels, float32 [rows * columns * A, 4].

    Anchor `a` of a cell stands at index `(row * columns + column) * A + a`, centred on the cell:
    y = stride * (row + 0.5), x = stride * (column + 0.5). Anchors may reach out of the image.
    """
    half = anchor_sizes(scales, ratios)[:, ::-1] / 2
    y, x = np.meshgrid(stride * (np.arange(rows) + 0.5), stride * (np.arange(columns) + 0.5), indexing="ij")
    centres = np.stack([y, x], axis=-1).astype(np.float32)[:, :, None, :]
    return np.concatenate([centres - half, centres + half], axis=-1).reshape(-1, 4)


def anchors_of_map(
    rows: tf.Tensor, columns: tf.Tensor, scales: Sequence[float], ratios: Sequence[float], stride: int = 16
) -> tf.Tensor:
    """`anchor_grid` of a feature map whose size, two int32 scalars, is known when the graph runs."""
    half = tf.constant(anchor_sizes(scales, ratios)[:, ::-1] / 2)
    y, x = (stride * (tf.cast(tf.range(cells), tf.float32) + 0.5) for cells in (rows, columns))
    centres = tf.stack(tf.meshgrid(y, x, indexing="ij"), axis=-1)[:, :, None, :]
    return tf.reshape(tf.concat([centres - half, centres + half], axis=-1), [-1, 4])
