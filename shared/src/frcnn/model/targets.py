"""What the RPN and the RoI head are trained towards: matching, sampling, coding.

Everything is batched, of static shape, and a function of its inputs and a seed. Overlaps count a
side's last pixel; anchors are coded without it, RoIs with it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from frcnn.model.sampling import choose, random_subset
from frcnn.ops.box_coder import encode
from frcnn.ops.boxes import Side, iou_matrix, last_index
from frcnn.ops.dimensions import dimension

POSITIVE_ROI_FRACTION = 0.25


class AnchorAssignment(NamedTuple):
    """Before sampling: `positive` and `negative` bool [B, N], `matched` int32 [B, N].

    `matched` is the ground truth box of each anchor, meaningful where positive.
    """

    positive: tf.Tensor
    negative: tf.Tensor
    matched: tf.Tensor


class RpnTargets(NamedTuple):
    """`sampled` and `positive` bool [B, N] (positive within sampled), `codes` [B, N, 4]."""

    sampled: tf.Tensor
    positive: tf.Tensor
    codes: tf.Tensor


class RoiTargets(NamedTuple):
    """`rois` and `codes` [B, K, 4], `labels` int32 [B, K], `sampled` and `positive` bool [B, K].

    Background is the last label. Where not sampled the RoI is zero; where not positive the codes are.
    """

    rois: tf.Tensor
    labels: tf.Tensor
    sampled: tf.Tensor
    positive: tf.Tensor
    codes: tf.Tensor


def assign_anchors(
    anchors: tf.Tensor,
    gt_boxes: tf.Tensor,
    gt_valid: tf.Tensor,
    *,
    height: Side,
    width: Side,
    min_overlap: float,
    max_overlap: float,
    inside_only: bool = False,
    stride: int = 16,
) -> AnchorAssignment:
    """Which anchors show an object, which show none.

    Positive is an anchor whose best IoU is at least `max_overlap`; negative one whose best IoU is at
    most `min_overlap`. An object that no positive anchor has as its best takes the anchor that
    overlaps it most (of several such objects at one anchor, the last). Anchors that take no part are
    neither: those of cells that show nothing but padding and, with `inside_only`, those that cross the
    image's border.

    Args:
        anchors: [N, 4] `yxyx` pixels.
        gt_boxes: [B, G, 4] `yxyx` pixels.
        gt_valid: bool [B, G]; the rest is padding.
        height: Of the images, px.
        width: Of the images, px.
        min_overlap: IoU.
        max_overlap: IoU.
        inside_only: Whether anchors that cross the border are left out, which is TAO's rule.
        stride: Pixels a cell.
    """
    limit = last_index([height, width], rank=3)
    if inside_only:
        usable = tf.reduce_all((anchors[:, :2] >= 0.0) & (anchors[:, 2:] <= limit), axis=-1)
    else:
        corners = (anchors[:, :2] + anchors[:, 2:]) / 2.0 - stride / 2.0
        usable = tf.reduce_all(corners <= limit, axis=-1)
    iou = iou_matrix(anchors[None], gt_boxes, inclusive=True)
    iou = tf.where(usable[..., None] & gt_valid[:, None, :], iou, 0.0)
    best_iou = tf.reduce_max(iou, axis=-1)
    best_gt = tf.argmax(iou, axis=-1, output_type=tf.int32)
    positive = best_iou >= max_overlap
    rescued = _rescue(iou, positive, best_gt)
    positive = positive | (rescued >= 0)
    negative = (best_iou <= min_overlap) & usable & ~positive
    return AnchorAssignment(positive, negative, tf.where(rescued >= 0, rescued, best_gt))


def _rescue(iou: tf.Tensor, positive: tf.Tensor, best_gt: tf.Tensor) -> tf.Tensor:
    """For each anchor the object it must take, int32 [B, N], or -1."""
    batch, total, count = tf.shape(iou)[0], dimension(iou, 1), iou.shape[2]
    claims = tf.where(positive, best_gt, count)
    images = tf.range(batch)[:, None]
    rows = tf.broadcast_to(images, tf.shape(claims))
    claimed = tf.scatter_nd(tf.stack([rows, claims], -1), tf.ones_like(claims), [batch, count + 1])
    best_anchor = tf.argmax(iou, axis=1, output_type=tf.int32)
    needy = (claimed[:, :count] == 0) & (tf.reduce_max(iou, axis=1) > 0.0)
    anchor = tf.where(needy, best_anchor, total)
    # Scattering the maximum lets the last object win; column `total` takes those without need.
    index = tf.stack([tf.broadcast_to(images, tf.shape(anchor)), anchor], -1)
    objects = tf.broadcast_to(tf.range(count), tf.shape(anchor))
    empty = tf.fill([batch, total + 1], -1)
    return tf.tensor_scatter_nd_max(empty, index, objects)[:, :total]


def rpn_targets(
    anchors: tf.Tensor,
    gt_boxes: tf.Tensor,
    gt_valid: tf.Tensor,
    *,
    height: Side,
    width: Side,
    min_overlap: float,
    max_overlap: float,
    mini_batch: int,
    inside_only: bool = False,
    stride: int = 16,
    seed: tf.Tensor,
) -> RpnTargets:
    """Assigns the anchors, and samples at most `mini_batch` of an image, at most half of them positive.

    Arguments as in `assign_anchors`; `seed` is int32 [2].
    """
    assigned = assign_anchors(
        anchors,
        gt_boxes,
        gt_valid,
        height=height,
        width=width,
        min_overlap=min_overlap,
        max_overlap=max_overlap,
        inside_only=inside_only,
        stride=stride,
    )
    positive = random_subset(
        assigned.positive, mini_batch // 2, mini_batch // 2, tf.stack([seed[0], seed[1] * 8])
    )
    quota = mini_batch - tf.reduce_sum(tf.cast(positive, tf.int32), axis=-1)
    negative = random_subset(assigned.negative, quota, mini_batch, tf.stack([seed[0], seed[1] * 8 + 1]))
    target_boxes = tf.gather(gt_boxes, assigned.matched, batch_dims=1)
    codes = encode(tf.where(positive[..., None], target_boxes, anchors), anchors, inclusive=False)
    return RpnTargets(positive | negative, positive, codes)


def roi_targets(
    rois: tf.Tensor,
    roi_valid: tf.Tensor,
    gt_boxes: tf.Tensor,
    gt_classes: tf.Tensor,
    gt_valid: tf.Tensor,
    *,
    min_overlap: float,
    max_overlap: float,
    mini_batch: int,
    num_classes: int,
    code_weights: Sequence[float],
    gt_as_roi: bool = False,
    seed: tf.Tensor,
) -> RoiTargets:
    """Matches proposals to objects and samples exactly `mini_batch` RoIs of an image, or none.

    Positive is an RoI whose best IoU is at least `max_overlap`; negative one between `min_overlap`
    (included) and that. Up to a quarter are positive; either kind fills up for the other, again and
    again if it must. An image without objects, or without any RoI of either kind, gets no sample.

    Args:
        rois: [B, R, 4] `yxyx` pixels.
        roi_valid: bool [B, R].
        gt_boxes: [B, G, 4] `yxyx` pixels.
        gt_classes: int32 [B, G], 0..C-1.
        gt_valid: bool [B, G].
        min_overlap: IoU.
        max_overlap: IoU.
        mini_batch: K.
        num_classes: C + 1, with background.
        code_weights: Factors of dx, dy, dw, dh.
        gt_as_roi: Whether the objects' own boxes join the proposals.
        seed: int32 [2].
    """
    if gt_as_roi:
        rois, roi_valid = tf.concat([rois, gt_boxes], 1), tf.concat([roi_valid, gt_valid], 1)
    iou = iou_matrix(rois, gt_boxes, inclusive=True)
    iou = tf.where(roi_valid[:, :, None] & gt_valid[:, None, :], iou, 0.0)
    best_iou = tf.reduce_max(iou, axis=-1)
    usable = roi_valid & tf.reduce_any(gt_valid, axis=-1, keepdims=True)
    positive = usable & (best_iou >= max_overlap)
    negative = usable & (best_iou >= min_overlap) & ~positive
    chosen, is_positive, sampled = choose(
        positive,
        negative,
        mini_batch,
        int(POSITIVE_ROI_FRACTION * mini_batch),
        tf.stack([seed[0], seed[1] * 8 + 2]),
    )
    boxes = tf.where(sampled[..., None], tf.gather(rois, chosen, batch_dims=1), 0.0)
    matched = tf.gather(tf.argmax(iou, axis=-1, output_type=tf.int32), chosen, batch_dims=1)
    classes = tf.gather(gt_classes, matched, batch_dims=1)
    targets = tf.where(is_positive[..., None], tf.gather(gt_boxes, matched, batch_dims=1), boxes)
    codes = encode(targets, boxes, inclusive=True) * tf.constant(code_weights, tf.float32)
    return RoiTargets(boxes, tf.where(is_positive, classes, num_classes - 1), sampled, is_positive, codes)
