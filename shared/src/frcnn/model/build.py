"""Builds the detector that a spec describes."""

from typing import TYPE_CHECKING

import keras
from keras import KerasTensor

from frcnn.model.backbones import BackboneOptions, backbone
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import Conv2D
from frcnn.model.settings import TrainingSettings
from frcnn.model.spec_settings import detection_settings as detection_settings
from frcnn.model.spec_settings import geometry_of as geometry_of
from frcnn.model.spec_settings import proposal_settings

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment, ModelConfig

RPN_CHANNELS = 512


def build(spec: "Experiment") -> FasterRCNN:
    """Builds a detector with fresh weights from a spec.

    Args:
        spec: Experiment spec.

    Returns:
        The detector.

    Raises:
        ModelError: The spec names an unknown backbone.
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


def training_settings(spec: "Experiment", rank: int = 0) -> TrainingSettings:
    """Returns the matching, sampling and loss settings in a spec.

    Args:
        spec: Experiment spec.
        rank: Rank of this process; each rank gets its own random seed.

    Returns:
        Settings of the training.
    """
    training = spec.training_config
    regularizer = training.regularizer
    return TrainingSettings(
        proposals=proposal_settings(training),
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
