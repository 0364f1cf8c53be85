"""The one place where a spec meets layers."""

from typing import TYPE_CHECKING

import keras
from keras import KerasTensor

from frcnn.data.transforms.preprocess import ImageSettings
from frcnn.model.backbones import BackboneOptions, backbone
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import Conv2D
from frcnn.model.settings import DetectionSettings, Geometry, ProposalSettings, TrainingSettings

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import (
        EvaluationConfig,
        Experiment,
        InferenceConfig,
        ModelConfig,
        TrainingConfig,
    )

RPN_CHANNELS = 512


def build(spec: "Experiment") -> FasterRCNN:
    """A detector with fresh weights, as the spec describes it.

    Raises:
        ModelError: The spec names a backbone that this version cannot build.
    """
    geometry = geometry_of(spec)
    parts = backbone(spec.model_config.arch, _options(spec.model_config))
    image = keras.Input((geometry.height, geometry.width, geometry.channels), name="input_image")
    body = parts.body(image)
    features = keras.Model(
        image, [body, *_rpn(body, len(geometry.scales) * len(geometry.ratios))], name="features"
    )
    crops = keras.Input((geometry.crop_size, geometry.crop_size, body.shape[-1]), name="crops")
    vector = parts.head(crops, spec.model_config.roi_pooling_config.pool_size_2x)
    head = keras.Model(crops, _answers(vector, len(geometry.class_names)), name="roi_head")
    return FasterRCNN(features, head, geometry)


def geometry_of(spec: "Experiment") -> Geometry:
    """Sizes, anchors, classes and coding that the spec asks for."""
    model, training = spec.model_config, spec.training_config
    image, pool = model.input_image_config, model.roi_pooling_config
    size, seen = image.size_height_width, ImageSettings.from_spec(spec)
    return Geometry(
        height=None if size is None else size.height,
        width=None if size is None else size.width,
        channels=seen.channels,
        scales=tuple(model.anchor_box_config.scale),
        ratios=tuple(model.anchor_box_config.ratio),
        crop_size=pool.pool_size * (2 if pool.pool_size_2x else 1),
        class_names=tuple(spec.class_names),
        code_weights=tuple(training.classifier_regr_std[key] for key in "xywh"),  # type: ignore[arg-type]
        stride=model.rpn_stride,
        min_side=seen.min_side,
        max_side=seen.max_side,
    )


def training_settings(spec: "Experiment", rank: int = 0) -> TrainingSettings:
    """Matching, sampling and losses that the spec asks for; every rank draws its own samples."""
    training = spec.training_config
    regularizer = training.regularizer
    return TrainingSettings(
        proposals=_proposals(training),
        rpn_min_overlap=training.rpn_min_overlap,
        rpn_max_overlap=training.rpn_max_overlap,
        rpn_mini_batch=training.rpn_mini_batch,
        classifier_min_overlap=training.classifier_min_overlap,
        classifier_max_overlap=training.classifier_max_overlap,
        roi_mini_batch=spec.model_config.roi_mini_batch,
        gt_as_roi=training.gt_as_roi,
        rpn_inside_anchors_only=training.rpn_inside_anchors_only,
        lambda_rpn_class=training.lambda_rpn_class,
        lambda_rpn_regr=training.lambda_rpn_regr,
        std_scaling=training.std_scaling,
        lambda_cls_class=training.lambda_cls_class,
        lambda_cls_regr=training.lambda_cls_regr,
        regularizer="NO_REG" if regularizer is None else regularizer.type.name,
        regularizer_weight=0.0 if regularizer is None else regularizer.weight,
        # TensorFlow's stateless seeds are signed.
        seed=(spec.random_seed + rank) % 2**31,
    )


def detection_settings(config: "EvaluationConfig | InferenceConfig") -> DetectionSettings:
    """Proposals and final NMS that the spec's evaluation or inference section asks for."""
    return DetectionSettings(
        proposals=_proposals(config),
        score_threshold=config.object_confidence_thres,
        iou_threshold=config.classifier_nms_overlap_threshold,
        max_detections=config.classifier_nms_max_boxes,
    )


def _proposals(config: "TrainingConfig | EvaluationConfig | InferenceConfig") -> ProposalSettings:
    return ProposalSettings(
        config.rpn_pre_nms_top_N, config.rpn_nms_max_boxes, config.rpn_nms_overlap_threshold
    )


def _options(model: "ModelConfig") -> BackboneOptions:
    return BackboneOptions(
        use_bias=model.use_bias,
        use_pooling=model.use_pooling,
        all_projections=model.all_projections,
        freeze_bn=model.freeze_bn,
        freeze_blocks=frozenset(int(block) for block in model.freeze_blocks),
        dropout_rate=model.dropout_rate,
        drop_connect_rate=model.drop_connect_rate,
        activation=model.activation.activation_type if model.activation else "",
    )


def _rpn(features: KerasTensor, kinds: int) -> tuple[KerasTensor, KerasTensor]:
    x = Conv2D(RPN_CHANNELS, 3, activation="relu", name="rpn_conv1")(features)
    scores = Conv2D(kinds, 1, activation="sigmoid", dtype="float32", name="rpn_out_class")(x)
    return scores, Conv2D(4 * kinds, 1, dtype="float32", name="rpn_out_regress")(x)


def _answers(vector: KerasTensor, classes: int) -> list[KerasTensor]:
    probabilities = keras.layers.Dense(
        classes + 1, activation="softmax", dtype="float32", name="dense_class_td"
    )(vector)
    return [probabilities, keras.layers.Dense(4 * classes, dtype="float32", name="dense_regress_td")(vector)]
