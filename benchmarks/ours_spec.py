"""Converts the shared benchmark settings to an experiment spec for this project's detector."""

from benchmarks.settings import SETTINGS, Settings


def spec_text(batch: int, settings: Settings = SETTINGS) -> str:
    """Writes the settings as a complete experiment spec. Its data paths do not exist and are never opened.

    Args:
        batch: Batch size.
        settings: Shared settings.

    Returns:
        Spec as protobuf text.
    """
    return "\n".join([_model(settings), _data(settings), _training(batch, settings), _running(settings)])


def _model(settings: Settings) -> str:
    # These options give torchvision's resnet18, plus one 1x1 projection in the first unit.
    anchors = [f"scale: {scale}" for scale in settings.anchor_scales]
    anchors += [f"ratio: {ratio}" for ratio in settings.anchor_ratios]
    return f"""
random_seed: 42
model_config {{
  arch: "resnet:18"
  use_pooling: True
  all_projections: False
  use_bias: False
  freeze_bn: False
  rpn_stride: 16
  roi_mini_batch: {settings.roi_mini_batch}
  roi_pooling_config {{ pool_size: {settings.pool_size} pool_size_2x: False }}
  anchor_box_config {{ {" ".join(anchors)} }}
  input_image_config {{
    image_type: RGB
    image_channel_order: "bgr"
    size_height_width {{ height: {settings.height} width: {settings.width} }}
    image_channel_mean {{ key: "b" value: 103.939 }}
    image_channel_mean {{ key: "g" value: 116.779 }}
    image_channel_mean {{ key: "r" value: 123.68 }}
    image_scaling_factor: 1.0
    max_objects_num_per_image: {settings.padded_boxes}
  }}
}}"""


def _data(settings: Settings) -> str:
    classes = [f'  target_class_mapping {{ key: "{name}" value: "{name}" }}' for name in settings.class_names]
    mapping = "\n".join(classes)
    return f"""
dataset_config {{
  data_sources {{ tfrecords_path: "/benchmark/none*" image_directory_path: "/benchmark" }}
  image_extension: "png"
{mapping}
  validation_fold: 0
}}
augmentation_config {{
  preprocessing {{
    output_image_width: {settings.width}
    output_image_height: {settings.height}
    output_image_channel: 3
  }}
  spatial_augmentation {{ zoom_min: 1.0 zoom_max: 1.0 }}
  color_augmentation {{ contrast_center: 0.5 }}
}}"""


def _training(batch: int, settings: Settings) -> str:
    weights = zip("xywh", settings.code_weights, strict=True)
    coding = "\n".join(f'  classifier_regr_std {{ key: "{key}" value: {value} }}' for key, value in weights)
    return f"""
training_config {{
  batch_size_per_gpu: {batch}
  num_epochs: 1
  rpn_min_overlap: {settings.rpn_min_overlap}
  rpn_max_overlap: {settings.rpn_max_overlap}
  classifier_min_overlap: 0.0
  classifier_max_overlap: {settings.roi_overlap}
  gt_as_roi: True
  std_scaling: 1.0
{coding}
  rpn_mini_batch: {settings.rpn_mini_batch}
  rpn_pre_nms_top_N: {settings.train_pre_nms}
  rpn_nms_max_boxes: {settings.train_post_nms}
  rpn_nms_overlap_threshold: {settings.rpn_nms_threshold}
  regularizer {{ type: L2 weight: {settings.weight_decay / 2} }}
  optimizer {{ sgd {{ lr: {settings.learning_rate} momentum: {settings.momentum} }} }}
  learning_rate {{
    soft_start {{
      base_lr: {settings.learning_rate} start_lr: {settings.learning_rate} soft_start: 0.1
      annealing_points: 0.9 annealing_divider: 10.0
    }}
  }}
  lambda_rpn_regr: 1.0
  lambda_rpn_class: 1.0
  lambda_cls_regr: 1.0
  lambda_cls_class: 1.0
}}"""


def _running(settings: Settings) -> str:
    shared = f"""
  rpn_pre_nms_top_N: {settings.infer_pre_nms}
  rpn_nms_max_boxes: {settings.infer_post_nms}
  rpn_nms_overlap_threshold: {settings.rpn_nms_threshold}
  object_confidence_thres: {settings.score_threshold}
  classifier_nms_max_boxes: {settings.max_detections}
  classifier_nms_overlap_threshold: {settings.nms_threshold}"""
    return f"""
inference_config {{{shared}
  images_dir: "/benchmark"
  bbox_visualize_threshold: 0.6
}}
evaluation_config {{{shared}
  gt_matching_iou_threshold: 0.5
}}
"""
