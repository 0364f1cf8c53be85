"""The four losses of a training step, from sampled anchors and RoIs."""

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from frcnn.model import losses
from frcnn.model.proposals import Proposals
from frcnn.model.settings import Geometry, TrainingSettings
from frcnn.model.targets import RoiTargets, RpnTargets, roi_targets, rpn_targets
from frcnn.ops.dimensions import dimension

if TYPE_CHECKING:
    from frcnn.model.faster_rcnn import FasterRCNN, ImageSize


def detector_losses(
    model: "FasterRCNN", batch: dict[str, tf.Tensor], settings: TrainingSettings, seed: tf.Tensor
) -> list[tf.Tensor]:
    """Computes the four losses times their lambdas, in the order of `faster_rcnn.LOSS_NAMES`.

    Args:
        model: Detector.
        batch: Images, boxes, classes, validity and, with dynamic shape, sizes.
        settings: Matching, sampling and weights of the losses.
        seed: Seed of the samples, int32 `[2]`.

    Returns:
        List of four scalars.
    """
    size = model.image_size(batch["images"], batch.get("size"))
    rpn = model(batch["images"], training=True)
    anchors = _anchor_targets(model.anchors_for(rpn), size, batch, model.geometry, settings, seed)
    rois = _sample_rois(model.propose(rpn, size, settings.proposals), batch, model.geometry, settings, seed)
    probabilities, codes = model.classify(rpn.features, rois.rois, size, training=True)
    count = dimension(anchors.sampled, 1)
    scores = tf.reshape(rpn.scores, [-1, count])
    rpn_codes = tf.reshape(rpn.codes, [-1, count, 4])
    values = (
        losses.rpn_class_loss(scores, anchors.sampled, anchors.positive, settings.rpn_mini_batch),
        losses.rpn_regress_loss(rpn_codes, anchors.codes, anchors.positive, settings.rpn_mini_batch),
        losses.roi_class_loss(probabilities, rois.labels, rois.sampled, settings.roi_mini_batch),
        losses.roi_regress_loss(codes, rois.codes, rois.labels, rois.positive, settings.roi_mini_batch),
    )
    weights = (
        settings.lambda_rpn_class,
        settings.lambda_rpn_regr * settings.std_scaling,
        settings.lambda_cls_class,
        settings.lambda_cls_regr,
    )
    return [weight * value for weight, value in zip(weights, values, strict=True)]


def _anchor_targets(
    anchors: np.ndarray | tf.Tensor,
    size: "ImageSize",
    batch: dict[str, tf.Tensor],
    geometry: Geometry,
    settings: TrainingSettings,
    seed: tf.Tensor,
) -> RpnTargets:
    return rpn_targets(
        anchors,
        batch["boxes"],
        batch["valid"],
        height=size.height,
        width=size.width,
        min_overlap=settings.rpn_min_overlap,
        max_overlap=settings.rpn_max_overlap,
        mini_batch=settings.rpn_mini_batch,
        inside_only=settings.rpn_inside_anchors_only,
        stride=geometry.stride,
        seed=seed,
    )


def _sample_rois(
    proposals: Proposals,
    batch: dict[str, tf.Tensor],
    geometry: Geometry,
    settings: TrainingSettings,
    seed: tf.Tensor,
) -> RoiTargets:
    targets = roi_targets(
        proposals.boxes,
        proposals.valid,
        batch["boxes"],
        batch["classes"],
        batch["valid"],
        min_overlap=settings.classifier_min_overlap,
        max_overlap=settings.classifier_max_overlap,
        mini_batch=settings.roi_mini_batch,
        num_classes=len(geometry.class_names) + 1,
        code_weights=geometry.code_weights,
        gt_as_roi=settings.gt_as_roi,
        seed=seed,
    )
    return RoiTargets(*(tf.stop_gradient(value) for value in targets))
