"""Computes the boxes that the RoI head classifies from the RPN's scores and box deltas."""

from typing import NamedTuple

import tensorflow as tf

from frcnn.ops.box_coder import decode
from frcnn.ops.boxes import Side, clip_boxes
from frcnn.ops.dimensions import cells_of, dimension, smaller
from frcnn.ops.nms import suppress


class Proposals(NamedTuple):
    """Proposals of a batch, best first.

    Attributes:
        boxes: Boxes, `yxyx` in pixels, `[B, R, 4]`; invalid rows are zero.
        valid: Whether each row is a proposal, bool `[B, R]`.
    """

    boxes: tf.Tensor
    valid: tf.Tensor


def generate_proposals(
    scores: tf.Tensor,
    codes: tf.Tensor,
    anchors: tf.Tensor,
    *,
    height: Side,
    width: Side,
    pre_nms: int,
    post_nms: int,
    iou_threshold: float,
    min_size: float = 1.0,
) -> Proposals:
    """Decodes, clips, ranks and suppresses the RPN's boxes; no gradient flows through.

    Equal scores are ranked by anchor kind, then row, then column, as in exported graphs.

    Args:
        scores: Objectness in 0..1, `[B, h, w, A]`; below 0 for anchors that must not propose a box.
        codes: Box deltas, four consecutive channels per anchor, relative to sides without the last pixel,
            `[B, h, w, 4A]`.
        anchors: Anchors, `yxyx` in pixels, `[h * w * A, 4]`, with index (row * w + column) * A + a.
        height: Height of the images, px.
        width: Width of the images, px.
        pre_nms: Maximum number of boxes before NMS.
        post_nms: Maximum number of proposals, R.
        iou_threshold: NMS drops boxes whose IoU with a better box is higher.
        min_size: Minimum clipped width and height, exclusive, px.

    Returns:
        The proposals.
    """
    batch = dimension(scores, 0)
    rows, columns, kinds = dimension(scores, 1), dimension(scores, 2), scores.shape[3]
    total = rows * columns * kinds
    codes = tf.reshape(tf.stop_gradient(codes), [batch, total, 4])
    boxes = clip_boxes(decode(tf.cast(codes, tf.float32), anchors, inclusive=False), height, width)
    sides = boxes[..., 2:] - boxes[..., :2]
    large = tf.reshape(tf.reduce_all(sides > min_size, axis=-1), [batch, rows, columns, kinds])
    ranked = tf.where(large, tf.cast(tf.stop_gradient(scores), tf.float32), -1.0)
    by_kind = tf.reshape(tf.transpose(ranked, [0, 3, 1, 2]), [batch, total])
    count = smaller(pre_nms, total)
    best = tf.math.top_k(by_kind, count)
    cells = rows * columns
    boxes = tf.gather(boxes, best.indices % cells * kinds + best.indices // cells, batch_dims=1)
    keys = tf.where(best.values >= 0.0, tf.range(count, 0, -1), 0)
    kept, _ = suppress(boxes[:, :, None], keys[:, :, None], iou_threshold, post_nms)
    valid = kept > 0
    survivors = tf.gather(boxes, tf.where(valid, count - kept, 0), batch_dims=1)
    return Proposals(tf.where(valid[..., None], survivors, 0.0), valid)


def without_padding(scores: tf.Tensor, height: Side, width: Side, stride: int) -> tf.Tensor:
    """Sets the scores of cells that show only padding to -1.

    Args:
        scores: Objectness, `[B, h, w, A]`.
        height: Heights of the images, px, int32 `[B]`.
        width: Widths of the images, px, int32 `[B]`.
        stride: Pixels per cell.

    Returns:
        Scores, `[B, h, w, A]`.
    """
    rows, columns = (
        tf.range(tf.shape(scores)[axis]) < tf.expand_dims(cells_of(side, stride), -1)
        for axis, side in enumerate((height, width), start=1)
    )
    return tf.where((rows[:, :, None] & columns[:, None, :])[..., None], scores, -1.0)
