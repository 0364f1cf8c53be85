"""Computes areas and overlaps of boxes. Boxes are `yxyx`, float32, in pixels of the network input."""

from collections.abc import Sequence
from typing import TypeAlias

import tensorflow as tf

# Height or width in px: one int for all images, or int32 [B].
Side: TypeAlias = "int | tf.Tensor"


def iou_matrix(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Computes the intersection over union of every box with every other box.

    Sizes include the last pixel (x2 - x1 + 1), as in PASCAL VOC.

    Args:
        boxes: Boxes, `yxyx` in pixels, `[..., N, 4]`.
        others: Boxes, `yxyx` in pixels, `[..., M, 4]`, with the same leading dimensions.

    Returns:
        IoU in 0..1, `[..., N, M]`. Disjoint boxes have 0.
    """
    y1, x1, y2, x2 = (edge[..., :, None] for edge in tf.unstack(boxes, axis=-1))
    v1, u1, v2, u2 = (edge[..., None, :] for edge in tf.unstack(others, axis=-1))
    height = tf.maximum(tf.minimum(y2, v2) - tf.maximum(y1, v1) + 1.0, 0.0)
    width = tf.maximum(tf.minimum(x2, u2) - tf.maximum(x1, u1) + 1.0, 0.0)
    intersection = height * width
    areas = (y2 - y1 + 1.0) * (x2 - x1 + 1.0)
    other_areas = (v2 - v1 + 1.0) * (u2 - u1 + 1.0)
    return tf.math.divide_no_nan(intersection, areas + other_areas - intersection)


def clip_boxes(boxes: tf.Tensor, height: Side, width: Side) -> tf.Tensor:
    """Clips boxes to their images.

    Args:
        boxes: Boxes, `yxyx` in pixels, `[B, ..., 4]`.
        height: Height of the images, px.
        width: Width of the images, px.

    Returns:
        Boxes with y in 0..height - 1 and x in 0..width - 1, `[B, ..., 4]`.
    """
    return tf.clip_by_value(boxes, 0.0, last_index([height, width] * 2, len(boxes.shape)))


def last_index(sides: Sequence[Side], rank: int) -> tf.Tensor:
    """Returns the index of the last pixel along each side.

    Args:
        sides: Heights or widths, px.
        rank: Rank of the result if images have their own sizes.

    Returns:
        Side - 1, float32 `[n]`; `[B, 1, ..., n]` of rank `rank` if images have their own sizes.
    """
    if all(isinstance(side, int) for side in sides):
        return tf.constant([side - 1.0 for side in sides], tf.float32)
    limits = tf.cast(tf.stack(sides, axis=-1), tf.float32) - 1.0
    return tf.reshape(limits, [-1, *[1] * (rank - 2), len(sides)])
