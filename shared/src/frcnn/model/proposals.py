"""Proposals: from the RPN's scores and codes to the boxes that the RoI head looks at."""

from typing import NamedTuple

import tensorflow as tf

from frcnn.ops.box_coder import decode
from frcnn.ops.boxes import Side, clip_boxes
from frcnn.ops.dimensions import cells_of, dimension, smaller
from frcnn.ops.nms import suppress


class Proposals(NamedTuple):
    """`boxes` [B, R, 4] `yxyx` pixels, best first; `valid` bool [B, R]; rows not valid are zero."""

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
    """Decodes, clips, ranks and thins out the RPN's boxes; no gradient flows through.

    Equal scores rank by anchor kind, then row, then column, in which order exported graphs see them.

    Args:
        scores: Objectness [B, h, w, A] in 0..1; below 0 for anchors that propose nothing.
        codes: [B, h, w, 4A], four consecutive channels an anchor, relative to sides without the
            extra pixel.
        anchors: [h * w * A, 4] `yxyx` pixels, index (row * w + column) * A + a.
        height: Of the images, px.
        width: Of the images, px.
        pre_nms: Boxes ranked at most.
        post_nms: R, boxes kept at most.
        iou_threshold: NMS drops a box whose IoU with a better one is above this.
        min_size: Boxes whose clipped width or height is not above this are dropped, px.
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
    """Scores [B, h, w, A] with -1 in the cells that show nothing but padding.

    `height` and `width` are int32 [B], of the images, px; a cell is `stride` px wide.
    """
    rows, columns = (
        tf.range(tf.shape(scores)[axis]) < tf.expand_dims(cells_of(side, stride), -1)
        for axis, side in enumerate((height, width), start=1)
    )
    return tf.where((rows[:, :, None] & columns[:, None, :])[..., None], scores, -1.0)
