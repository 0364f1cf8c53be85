"""Computes final boxes from the outputs of the RoI head."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from frcnn.ops.box_coder import decode
from frcnn.ops.boxes import Side, clip_boxes
from frcnn.ops.dimensions import dimension
from frcnn.ops.nms import suppress


class Detections(NamedTuple):
    """Detections of a batch, best score first; slots from `count` on are zero.

    Attributes:
        boxes: Boxes, `yxyx` in pixels, float32 `[B, K, 4]`.
        scores: Scores, float32 `[B, K]`.
        classes: Class indices, int32 `[B, K]`.
        count: Numbers of detections, int32 `[B]`.
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
    """Decodes the boxes of every class, drops low scores, and applies NMS per class.

    For equal scores, the lower RoI index wins, then the lower class index.

    Args:
        rois: RoIs, `yxyx` in pixels, `[B, R, 4]`.
        roi_valid: Whether each RoI exists, bool `[B, R]`; padding yields no detections.
        probabilities: Class probabilities, background last, `[B, R, C + 1]`.
        codes: Weighted box deltas, relative to sides that include the last pixel, `[B, R, C, 4]`.
        height: Height of the images, px.
        width: Width of the images, px.
        score_threshold: Minimum probability, exclusive.
        iou_threshold: NMS drops boxes whose IoU with a better box of the same class is higher.
        max_detections: Maximum number of detections per image over all classes, K.
        code_weights: Divisors of dx, dy, dw, dh.

    Returns:
        The detections.
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
