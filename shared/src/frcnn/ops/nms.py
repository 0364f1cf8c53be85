"""Greedy non-maximum suppression with a defined order of ties, batched and with static shapes."""

import tensorflow as tf


def suppress(
    boxes: tf.Tensor, keys: tf.Tensor, iou_threshold: float, count: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Selects the boxes that survive greedy NMS, best key first.

    TensorFlow's combined NMS is its fastest kernel (CPU and GPU) but orders equal scores arbitrarily.
    Callers therefore rank their boxes and pass the rank as key: there are no ties, and the key of a
    survivor identifies its box. A box is suppressed if its IoU (sizes without the last pixel) with a
    survivor of the same class exceeds the threshold.

    Args:
        boxes: Boxes, `yxyx`, `[B, N, Q, 4]`, for Q classes that do not suppress each other.
        keys: Ranks, int32 `[B, N, Q]`, larger is better, all different within an image and below 2**24
            (they pass through float32); 0 marks a box that neither survives nor suppresses.
        iou_threshold: IoU threshold, 0..1.
        count: Maximum number of survivors per image over all its classes, K.

    Returns:
        Tuple of the survivors' keys, int32 `[B, K]`, descending and padded with 0, and their classes,
        int32 `[B, K]` in 0..Q - 1.
    """
    found = tf.image.combined_non_max_suppression(
        boxes,
        tf.cast(keys, tf.float32),
        max_output_size_per_class=count,
        max_total_size=count,
        iou_threshold=iou_threshold,
        score_threshold=0.0,
        clip_boxes=False,
    )
    return tf.cast(found.nmsed_scores, tf.int32), tf.cast(found.nmsed_classes, tf.int32)
