"""The smallest data set and spec with which all steps of the pipeline run for real."""

from pathlib import Path

from frcnn.demo.dataset import write_demo_data

HEIGHT, WIDTH = 128, 160
CLASSES = ("circle", "square", "triangle")

SPEC = """
random_seed: 42
model_config {
  input_image_config {
    image_type: RGB
    image_channel_order: "rgb"
    size_height_width { height: 128 width: 160 }
    image_channel_mean { key: "r" value: 123.68 }
    image_channel_mean { key: "g" value: 116.779 }
    image_channel_mean { key: "b" value: 103.939 }
    image_scaling_factor: 58.0
    max_objects_num_per_image: 10
  }
  arch: "resnet:10"
  anchor_box_config { scale: 32.0 scale: 64.0 ratio: 1.0 }
  roi_mini_batch: 16
  rpn_stride: 16
  all_projections: true
  roi_pooling_config { pool_size: 7 }
}
dataset_config {
  data_sources { tfrecords_path: "/replaced/by/the/pipeline/*" }
  image_extension: "jpg"
  target_class_mapping { key: "circle" value: "circle" }
  target_class_mapping { key: "square" value: "square" }
  target_class_mapping { key: "triangle" value: "triangle" }
}
augmentation_config {
  preprocessing {
    output_image_width: 160 output_image_height: 128 output_image_channel: 3 enable_auto_resize: true
  }
}
training_config {
  batch_size_per_gpu: 2
  num_epochs: 1
  rpn_min_overlap: 0.3
  rpn_max_overlap: 0.6
  gt_as_roi: true
  rpn_mini_batch: 32
  rpn_pre_nms_top_N: 100
  rpn_nms_max_boxes: 32
  optimizer { sgd { momentum: 0.9 } }
  learning_rate { step { base_lr: 0.005 gamma: 1.0 step_size: 30 } }
}
inference_config { rpn_pre_nms_top_N: 100 rpn_nms_max_boxes: 32 }
evaluation_config { rpn_pre_nms_top_N: 100 rpn_nms_max_boxes: 32 }
"""


def write_data(folder: Path, images: int = 10) -> Path:
    """Draws the data set; fold 0 of it has two images."""
    write_demo_data(folder, images=images, seed=7, height=HEIGHT, width=WIDTH)
    return folder


def write_spec(path: Path) -> Path:
    """Writes the spec."""
    path.write_text(SPEC, encoding="utf-8")
    return path
