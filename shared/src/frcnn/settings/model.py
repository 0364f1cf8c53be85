"""Resolves the graph of the detector, proposals, matching, sampling, losses and final NMS."""

from typing import Literal

from frcnn.model.settings import (
    BackboneOptions,
    DetectionSettings,
    ExpectedModel,
    Geometry,
    ModelSettings,
    ProposalSettings,
    TrainingSettings,
)
from frcnn.settings.data import image_settings
from frcnn.spec.schema.experiment import Experiment
from frcnn.spec.schema.model import ModelConfig
from frcnn.spec.schema.run import EvaluationConfig, InferenceConfig
from frcnn.spec.schema.training import TrainingConfig


def model_settings(spec: Experiment) -> ModelSettings:
    """Resolves the settings that determine the graph of the detector.

    Args:
        spec: Checked spec.

    Returns:
        Settings of the graph.
    """
    model = spec.model_config
    pool_size_2x = model.roi_pooling_config.pool_size_2x
    return ModelSettings(model.arch, geometry_of(spec), _backbone_options(model), pool_size_2x)


def expected_model(
    spec: Experiment, mode: Literal["evaluation", "inference"] = "evaluation"
) -> ExpectedModel:
    """Resolves what a model file must have, and the settings to run it with.

    Args:
        spec: Checked spec.
        mode: Section of the spec to use.

    Returns:
        Expected classes and input size, and settings of the detections.
    """
    config = spec.inference_config if mode == "inference" else spec.evaluation_config
    return ExpectedModel(
        geometry_of(spec), detection_settings(config), f"{mode}_config", image_settings(spec)
    )


def named_model(spec: Experiment, mode: Literal["evaluation", "inference"]) -> str:
    """Returns the model file that a section of the spec names; empty for none.

    Args:
        spec: Checked spec.
        mode: Section of the spec to use.

    Returns:
        Engine of the deprecated `trt_*` message, else `model`.
    """
    if mode == "evaluation":
        model, engine = spec.evaluation_config.model, spec.evaluation_config.trt_evaluation
    else:
        model, engine = spec.inference_config.model, spec.inference_config.trt_inference
    return (engine.trt_engine if engine else "") or model


def geometry_of(spec: Experiment) -> Geometry:
    """Returns the sizes, anchors, classes and box coding in a spec.

    Args:
        spec: Experiment spec.

    Returns:
        Geometry of the model.
    """
    model, training = spec.model_config, spec.training_config
    image, pool = model.input_image_config, model.roi_pooling_config
    size, seen = image.size_height_width, image_settings(spec)
    return Geometry(
        height=None if size is None else size.height,
        width=None if size is None else size.width,
        channels=seen.channels,
        scales=tuple(model.anchor_box_config.scale),
        ratios=tuple(model.anchor_box_config.ratio),
        crop_size=pool.pool_size * (2 if pool.pool_size_2x else 1),
        positions_by_stride=pool.positions_by_stride,
        class_names=tuple(spec.class_names),
        code_weights=tuple(training.classifier_regr_std[key] for key in "xywh"),  # type: ignore[arg-type]
        stride=model.rpn_stride,
        min_side=seen.min_side,
        max_side=seen.max_side,
    )


def detection_settings(config: EvaluationConfig | InferenceConfig) -> DetectionSettings:
    """Returns the settings of proposals and final NMS in a section of the spec.

    Args:
        config: Evaluation or inference section.

    Returns:
        The settings.
    """
    return DetectionSettings(
        proposals=_proposal_settings(config),
        score_threshold=config.object_confidence_thres,
        iou_threshold=config.classifier_nms_overlap_threshold,
        max_detections=config.classifier_nms_max_boxes,
    )


def _proposal_settings(config: TrainingConfig | EvaluationConfig | InferenceConfig) -> ProposalSettings:
    """Returns the limits of the proposals in a section of the spec."""
    return ProposalSettings(
        config.rpn_pre_nms_top_N, config.rpn_nms_max_boxes, config.rpn_nms_overlap_threshold
    )


def training_settings(spec: Experiment) -> TrainingSettings:
    """Returns the matching, sampling and loss settings in a spec.

    Args:
        spec: Experiment spec.

    Returns:
        Settings of the training.
    """
    training = spec.training_config
    regularizer = training.regularizer
    return TrainingSettings(
        proposals=_proposal_settings(training),
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
        regularizer=regularizer.type.name,
        regularizer_weight=regularizer.weight,
        # TensorFlow's stateless seeds are signed.
        seed=spec.random_seed % 2**31,
    )


def _backbone_options(model: ModelConfig) -> BackboneOptions:
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
