"""Typed, read-only form of `InferenceConfig` and `EvaluationConfig`.

See `experiment.proto` for the meaning and unit of each field.
"""

from dataclasses import dataclass
from typing import Annotated

from frcnn.spec.schema.constraints import Range, ZeroIsNotSet

OpenShare = Annotated[float, Range("(0, 1)")]
Count = Annotated[int, Range(">= 1")]


@dataclass(frozen=True, kw_only=True)
class TrtInference:
    """TensorRT engine, given in the deprecated way."""

    trt_engine: str = ""


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """Settings of inference and of exported models."""

    images_dir: str = ""
    model: str = ""
    bbox_visualize_threshold: OpenShare = 0.6
    classifier_nms_overlap_threshold: OpenShare = 0.3
    rpn_nms_max_boxes: Count = 300
    rpn_nms_overlap_threshold: OpenShare = 0.7
    classifier_nms_max_boxes: Count = 100
    rpn_pre_nms_top_N: Count = 6000
    detection_image_output_dir: str = ""
    bbox_caption_on: bool = False
    labels_dump_dir: str = ""
    trt_inference: TrtInference | None = None
    batch_size: Annotated[int, ZeroIsNotSet()] = 1
    object_confidence_thres: OpenShare = 0.0001
    nms_score_bits: int = 0


@dataclass(frozen=True, kw_only=True)
class GtMatchingIouThresholdRange:
    """IoU thresholds `start`, `start + step`, ..., below `end`."""

    start: OpenShare = 0.5
    end: Annotated[float, Range("(0, 1]")] = 1.0
    step: OpenShare = 0.05


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Settings of evaluation. In a loaded spec, exactly one of the two IoU fields is set."""

    model: str = ""
    rpn_nms_max_boxes: Count = 300
    rpn_nms_overlap_threshold: OpenShare = 0.7
    classifier_nms_max_boxes: Count = 100
    classifier_nms_overlap_threshold: OpenShare = 0.3
    object_confidence_thres: OpenShare = 0.0001
    rpn_pre_nms_top_N: Count = 6000
    use_voc07_11point_metric: bool = False
    validation_period_during_training: Annotated[int, ZeroIsNotSet()] = 1
    batch_size: Annotated[int, ZeroIsNotSet()] = 1
    trt_evaluation: TrtInference | None = None
    gt_matching_iou_threshold_range: GtMatchingIouThresholdRange | None = None
    gt_matching_iou_threshold: OpenShare | None = 0.5
    visualize_pr_curve: bool = False
    coco_matching: bool = False
