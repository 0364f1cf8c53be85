"""A whole experiment spec, small and valid, for tests of the commands."""

from pathlib import Path

TEXT = """
model_config {{
  input_image_config {{
    image_type: RGB
    image_channel_order: "rgb"
    size_height_width {{ height: 128 width: 160 }}
    image_channel_mean {{ key: "r" value: 1.0 }}
    image_channel_mean {{ key: "g" value: 1.0 }}
    image_channel_mean {{ key: "b" value: 1.0 }}
    image_scaling_factor: 1.0
    max_objects_num_per_image: 5
  }}
  arch: "resnet:10"
  anchor_box_config {{ scale: 32.0 ratio: 1.0 }}
  roi_mini_batch: 16
  rpn_stride: 16
  roi_pooling_config {{ pool_size: 7 }}
}}
dataset_config {{
  data_sources {{ tfrecords_path: "{records}" image_directory_path: "{images}" }}
  image_extension: "png"
  target_class_mapping {{ key: "car" value: "car" }}
  target_class_mapping {{ key: "person" value: "person" }}
  validation_fold: 0
}}
augmentation_config {{
  preprocessing {{
    output_image_width: 160 output_image_height: 128 output_image_channel: 3 enable_auto_resize: true
  }}
  spatial_augmentation {{ zoom_min: 1.0 zoom_max: 1.0 }}
}}
training_config {{
  batch_size_per_gpu: 1 num_epochs: 1
  rpn_min_overlap: 0.3 rpn_max_overlap: 0.7 classifier_min_overlap: 0.0 classifier_max_overlap: 0.5
  std_scaling: 1.0
  classifier_regr_std {{ key: "x" value: 10.0 }}
  classifier_regr_std {{ key: "y" value: 10.0 }}
  classifier_regr_std {{ key: "w" value: 5.0 }}
  classifier_regr_std {{ key: "h" value: 5.0 }}
  rpn_mini_batch: 64
  optimizer {{ sgd {{ lr: 0.01 momentum: 0.9 }} }}
  learning_rate {{ step {{ base_lr: 0.01 gamma: 1.0 step_size: 30 }} }}
  lambda_rpn_regr: 1.0 lambda_rpn_class: 1.0 lambda_cls_regr: 1.0 lambda_cls_class: 1.0
}}
evaluation_config {{ {evaluation} }}
inference_config {{ {inference} }}
"""


def write_spec(
    path: Path, *, records: str = "", images: str | Path = "", evaluation: str = "", inference: str = ""
) -> Path:
    """Writes the spec; `evaluation` and `inference` are the text of these two messages."""
    text = TEXT.format(records=records, images=images, evaluation=evaluation, inference=inference)
    path.write_text(text, encoding="utf-8")
    return path


def make_dynamic(path: Path, min_side: int = 128, max_side: int = 320) -> Path:
    """Rewrites a written spec so that images keep their aspect: `size_min` instead of a fixed size."""
    text = path.read_text(encoding="utf-8")
    for static, dynamic in (
        ("size_height_width { height: 128 width: 160 }", f"size_min {{ min: {min_side} }}"),
        ("output_image_width: 160 output_image_height: 128", f"output_image_max: {max_side}"),
    ):
        if static not in text:
            raise ValueError(static)
        text = text.replace(static, dynamic)
    path.write_text(text, encoding="utf-8")
    return path
