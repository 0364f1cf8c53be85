"""Generates the anchors of feature maps whose size is known only when the graph runs."""

from collections.abc import Sequence

import tensorflow as tf

from frcnn.ops.anchor_shapes import anchor_sizes


def anchors_of_map(
    rows: tf.Tensor, columns: tf.Tensor, scales: Sequence[float], ratios: Sequence[float], stride: int = 16
) -> tf.Tensor:
    """Generates the anchors of a feature map whose size is known only when the graph runs.

    Args:
        rows: Rows of the feature map, int32 scalar.
        columns: Columns of the feature map, int32 scalar.
        scales: Scales, px.
        ratios: Ratios of width to height.
        stride: Pixels per cell.

    Returns:
        Anchors as `anchor_grid` orders them, `yxyx` in pixels, float32 `[rows * columns * A, 4]`.
    """
    half = tf.constant(anchor_sizes(scales, ratios)[:, ::-1] / 2)
    y, x = (stride * (tf.cast(tf.range(cells), tf.float32) + 0.5) for cells in (rows, columns))
    centers = tf.stack(tf.meshgrid(y, x, indexing="ij"), axis=-1)[:, :, None, :]
    return tf.reshape(tf.concat([centers - half, centers + half], axis=-1), [-1, 4])
