"""Detections: from the RoI head's answers to final boxes."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from frcnn.ops.box_coder import decode
from frcnn.ops.boxes import Side, clip_boxes
from frcnn.ops.dimensions import dimension
from frcnn.ops.nms import suppress


class Detections(NamedTuple):
    """`boxes` [B, K, 4] `yxyx` pixels, `scores` [B, K], `classes` int32 [B, K], `count` int32 [B].

    Best score first; rows from `count` on are zero.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor
    count: tf.Tensor


def generate_detections(
    rois: tf.Tensor,
    roi_valid: tf.Tensor,
    probabilities: tf.Tensor,
    codes: tf.Tensor,
    *,
    height: Side,
    width: Side,
    score_threshold: float,
    iou_threshold: float,
    max_detections: int,
    code_weights: Sequence[float],
) -> Detections:
    """Decodes the boxes of every class, drops weak ones, and applies NMS class by class.

    Of equal scores the RoI with the lower index wins, then the lower class.

    Args:
        rois: [B, R, 4] `yxyx` pixels.
        roi_valid: bool [B, R]; RoIs that are only padding yield nothing.
        probabilities: [B, R, C + 1], background last.
        codes: [B, R, C, 4], weighted, relative to sides that count the last pixel.
        height: Of the images, px.
        width: Of the images, px.
        score_threshold: Only probabilities above this count.
        iou_threshold: NMS drops a box whose IoU with a better one of its class is above this.
        max_detections: K, of an image over all classes.
        code_weights: Divisors of dx, dy, dw, dh.
    """
    batch = dimension(rois, 0)
    count, classes = codes.shape[1], codes.shape[2]
    scaled = tf.cast(codes, tf.float32) / tf.constant(code_weights, tf.float32)
    boxes = clip_boxes(decode(scaled, rois[:, :, None], inclusive=True), height, width)
    scores = tf.cast(probabilities[..., :classes], tf.float32)
    scores = tf.where(roi_valid[..., None] & (scores > score_threshold), scores, 0.0)
    total = count * classes
    ranking = tf.math.top_k(tf.reshape(scores, [batch, total]), total)
    position = tf.argsort(ranking.indices, axis=-1)
    keys = tf.where(scores > 0.0, tf.reshape(total - position, [batch, count, classes]), 0)
    kept, _ = suppress(boxes, keys, iou_threshold, max_detections)
    found = kept > 0
    flat = tf.gather(ranking.indices, tf.where(found, total - kept, 0), batch_dims=1)
    final_boxes = tf.gather(tf.reshape(boxes, [batch, total, 4]), flat, batch_dims=1)
    final_scores = tf.gather(tf.reshape(scores, [batch, total]), flat, batch_dims=1)
    return Detections(
        tf.where(found[..., None], final_boxes, 0.0),
        tf.where(found, final_scores, 0.0),
        tf.where(found, flat % classes, 0),
        tf.reduce_sum(tf.cast(found, tf.int32), axis=-1),
    )
