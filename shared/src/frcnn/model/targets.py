"""Computes the training targets of RPN and RoI head: matching, sampling and encoding.

Everything is batched, of static shape, and determined by its inputs and a seed. Overlaps include the last
pixel of a side; anchors are encoded without it, RoIs with it.
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
    """Assignment of anchors to objects before sampling.

    Attributes:
        positive: Whether each anchor shows an object, bool `[B, N]`.
        negative: Whether each anchor shows none, bool `[B, N]`.
        matched: Index of the ground truth box of each anchor, int32 `[B, N]`; valid for positive anchors.
    """

    positive: tf.Tensor
    negative: tf.Tensor
    matched: tf.Tensor


class RpnTargets(NamedTuple):
    """Targets of the RPN.

    Attributes:
        sampled: Whether each anchor is in the sample, bool `[B, N]`.
        positive: Whether each anchor is in the sample and positive, bool `[B, N]`.
        codes: Target box deltas, `[B, N, 4]`.
    """

    sampled: tf.Tensor
    positive: tf.Tensor
    codes: tf.Tensor


class RoiTargets(NamedTuple):
    """Targets of the RoI head.

    Attributes:
        rois: RoIs, `yxyx` in pixels, `[B, K, 4]`; zero if not sampled.
        labels: Classes, int32 `[B, K]`; background is the last.
        sampled: Whether each RoI is in the sample, bool `[B, K]`.
        positive: Whether each RoI is positive, bool `[B, K]`.
        codes: Target box deltas, `[B, K, 4]`; zero if not positive.
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
    """Determines which anchors show an object and which show none.

    An anchor is positive if its best IoU is at least `max_overlap`, and negative if it is at most
    `min_overlap`. An object that is not the best match of any positive anchor gets the anchor that overlaps
    it most; if several such objects share that anchor, the last one gets it. Unusable anchors are neither:
    those of cells that show only padding and, with `inside_only`, those that cross the image border.

    Args:
        anchors: Anchors, `yxyx` in pixels, `[N, 4]`.
        gt_boxes: Ground truth boxes, `yxyx` in pixels, `[B, G, 4]`.
        gt_valid: Whether each box exists, bool `[B, G]`; the rest is padding.
        height: Height of the images, px.
        width: Width of the images, px.
        min_overlap: Maximum IoU of negative anchors.
        max_overlap: Minimum IoU of positive anchors.
        inside_only: Whether to exclude anchors that cross the image border, as TAO does.
        stride: Pixels per cell.

    Returns:
        The assignment.
    """
    limit = last_index([height, width], rank=3)
    if inside_only:
        usable = tf.reduce_all((anchors[:, :2] >= 0.0) & (anchors[:, 2:] <= limit), axis=-1)
    else:
        corners = (anchors[:, :2] + anchors[:, 2:]) / 2.0 - stride / 2.0
        usable = tf.reduce_all(corners <= limit, axis=-1)
    iou = iou_matrix(anchors[None], gt_boxes)
    iou = tf.where(usable[..., None] & gt_valid[:, None, :], iou, 0.0)
    best_iou = tf.reduce_max(iou, axis=-1)
    best_gt = tf.argmax(iou, axis=-1, output_type=tf.int32)
    positive = best_iou >= max_overlap
    forced = _forced_matches(iou, positive, best_gt)
    positive = positive | (forced >= 0)
    negative = (best_iou <= min_overlap) & usable & ~positive
    return AnchorAssignment(positive, negative, tf.where(forced >= 0, forced, best_gt))


def _forced_matches(iou: tf.Tensor, positive: tf.Tensor, best_gt: tf.Tensor) -> tf.Tensor:
    """Returns the object that each anchor must be assigned to, int32 `[B, N]`, or -1."""
    batch, total, count = tf.shape(iou)[0], dimension(iou, 1), iou.shape[2]
    claims = tf.where(positive, best_gt, count)
    images = tf.range(batch)[:, None]
    rows = tf.broadcast_to(images, tf.shape(claims))
    claimed = tf.scatter_nd(tf.stack([rows, claims], -1), tf.ones_like(claims), [batch, count + 1])
    best_anchor = tf.argmax(iou, axis=1, output_type=tf.int32)
    unmatched = (claimed[:, :count] == 0) & (tf.reduce_max(iou, axis=1) > 0.0)
    anchor = tf.where(unmatched, best_anchor, total)
    # Scattering the maximum lets the last object win; column `total` collects the objects already matched.
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
    """Assigns the anchors; samples at most `mini_batch` per image, at most half of them positive.

    Args:
        anchors: Anchors, `yxyx` in pixels, `[N, 4]`.
        gt_boxes: Ground truth boxes, `yxyx` in pixels, `[B, G, 4]`.
        gt_valid: Whether each box exists, bool `[B, G]`.
        height: Height of the images, px.
        width: Width of the images, px.
        min_overlap: Maximum IoU of negative anchors.
        max_overlap: Minimum IoU of positive anchors.
        mini_batch: Maximum number of samples per image.
        inside_only: Whether to exclude anchors that cross the image border.
        stride: Pixels per cell.
        seed: Random seed, int32 `[2]`.

    Returns:
        The targets.
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
    """Matches proposals to objects and samples exactly `mini_batch` RoIs per image, or none.

    An RoI is positive if its best IoU is at least `max_overlap`, and negative if it is at least `min_overlap`
    and below `max_overlap`. Up to a quarter of the sample is positive. If one kind is missing, the other
    fills all slots; a kind with too few RoIs repeats them. Images without objects, or without RoIs of either
    kind, get no sample.

    Args:
        rois: Proposals, `yxyx` in pixels, `[B, R, 4]`.
        roi_valid: Whether each proposal exists, bool `[B, R]`.
        gt_boxes: Ground truth boxes, `yxyx` in pixels, `[B, G, 4]`.
        gt_classes: Classes of the boxes, 0..C - 1, int32 `[B, G]`.
        gt_valid: Whether each box exists, bool `[B, G]`.
        min_overlap: Minimum IoU of negative RoIs.
        max_overlap: Minimum IoU of positive RoIs.
        mini_batch: Number of samples per image, K.
        num_classes: Number of classes with background, C + 1.
        code_weights: Factors of dx, dy, dw, dh.
        gt_as_roi: Whether to add the ground truth boxes to the proposals.
        seed: Random seed, int32 `[2]`.

    Returns:
        The targets.
    """
    if gt_as_roi:
        rois, roi_valid = tf.concat([rois, gt_boxes], 1), tf.concat([roi_valid, gt_valid], 1)
    iou = iou_matrix(rois, gt_boxes)
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
