"""Reads the detector's settings from a spec, without TensorFlow or Keras."""

from typing import TYPE_CHECKING

from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.model.settings import DetectionSettings, Geometry, ProposalSettings

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import EvaluationConfig, Experiment, InferenceConfig, TrainingConfig


def geometry_of(spec: "Experiment") -> Geometry:
    """Returns the sizes, anchors, classes and box coding in a spec.

    Args:
        spec: Experiment spec.

    Returns:
        Geometry of the model.
    """
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


def detection_settings(config: "EvaluationConfig | InferenceConfig") -> DetectionSettings:
    """Returns the settings of proposals and final NMS in a section of the spec.

    Args:
        config: Evaluation or inference section.

    Returns:
        The settings.
    """
    return DetectionSettings(
        proposals=proposal_settings(config),
        score_threshold=config.object_confidence_thres,
        iou_threshold=config.classifier_nms_overlap_threshold,
        max_detections=config.classifier_nms_max_boxes,
    )


def proposal_settings(config: "TrainingConfig | EvaluationConfig | InferenceConfig") -> ProposalSettings:
    """Returns the limits of the proposals in a section of the spec.

    Args:
        config: Training, evaluation or inference section.

    Returns:
        The settings.
    """
    return ProposalSettings(
        config.rpn_pre_nms_top_N, config.rpn_nms_max_boxes, config.rpn_nms_overlap_threshold
    )
