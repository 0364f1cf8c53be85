"""Greedy non-maximum suppression with a defined order of ties, batched and of static shape."""

import tensorflow as tf


def suppress(
    boxes: tf.Tensor, keys: tf.Tensor, iou_threshold: float, count: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Which boxes survive greedy NMS, best key first.

    TensorFlow's combined NMS is its fastest kernel (CPU and GPU) but orders equal scores as it likes.
    Callers therefore rank their boxes and pass the rank as key: there are no ties left, and the key
    of a survivor tells which box it was. A box goes when its IoU (sides without the extra pixel)
    with a survivor of the same class is above the threshold.

    Args:
        boxes: [B, N, Q, 4] `yxyx`; Q classes that do not suppress each other.
        keys: int32 [B, N, Q], larger is better, all different within an image and below 2**24 (they
            pass through float32); 0 marks a box that neither survives nor suppresses.
        iou_threshold: 0..1.
        count: K, survivors of an image, over all its classes.

    Returns:
        Keys of the survivors, int32 [B, K], descending, 0 where there are fewer; and their classes,
        int32 [B, K] in 0..Q-1.
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
