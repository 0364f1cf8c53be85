"""Protos, config classes, comments and generated files say the same."""

import dataclasses
import importlib.util
import os
import subprocess
import sys
import typing
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor

from frcnn import spec
from frcnn.spec import dataset_export_pb2, experiment_pb2
from frcnn.spec.schema import document
from frcnn.spec.schema.constraints import Constraint, ZeroIsNotSet
from frcnn.spec.schema.from_message import default_of, schema_fields, split_annotation
from tests.unit.spec.samples import ROOT

MODULES = {"experiment": experiment_pb2, "dataset_export": dataset_export_pb2}

# Names and numbers that existing specs and tools depend on (TAO's user guide).
NUMBERS = {
    "Experiment": "random_seed 1 verbose 2 model_config 3 training_config 4 dataset_config 5 enc_key 6 "
    "augmentation_config 7 inference_config 8 evaluation_config 9",
    "DatasetConfig": "data_sources 1 image_extension 2 target_class_mapping 3 validation_fold 4 "
    "validation_data_source 5 dataloader_mode 6 sampling_mode 7",
    "DataSource": "tfrecords_path 1 image_directory_path 2 source_weight 3",
    "AugmentationConfig": "preprocessing 1 spatial_augmentation 2 color_augmentation 3",
    "Preprocessing": "output_image_width 1 output_image_height 2 crop_left 4 crop_top 5 crop_right 6 "
    "crop_bottom 7 min_bbox_width 8 min_bbox_height 9 scale_width 10 scale_height 11 "
    "output_image_channel 13 output_image_min 14 output_image_max 15 enable_auto_resize 16",
    "SpatialAugmentation": "hflip_probability 1 vflip_probability 2 zoom_min 3 zoom_max 4 "
    "translate_max_x 5 translate_max_y 6 rotate_rad_max 7 rotate_probability 8",
    "ColorAugmentation": "color_shift_stddev 1 hue_rotation_max 2 saturation_shift_max 3 "
    "contrast_scale_max 5 contrast_center 8",
    "ModelConfig": "input_image_config 1 arch 2 anchor_box_config 3 roi_mini_batch 4 rpn_stride 5 "
    "freeze_bn 6 rpn_cls_activation_type 7 freeze_blocks 9 use_bias 10 roi_pooling_config 11 "
    "rfcn_mode 12 tf_proposal_layer 13 all_projections 14 use_pooling 15 dropout_rate 17 "
    "drop_connect_rate 18 activation 19",
    "AnchorBoxConfig": "scale 1 ratio 2",
    "RoiPoolingConfig": "pool_size 1 pool_size_2x 2 positions_by_stride 1060",
    "Activation": "activation_type 1 activation_parameters 2",
    "InputImageConfig": "size_min 1 size_height_width 2 image_channel_mean 3 image_scaling_factor 4 "
    "image_channel_order 5 image_type 6 max_objects_num_per_image 7",
    "SizeMin": "min 1",
    "SizeHeightWidth": "height 1 width 2",
    "TrainingConfig": "retrain_pruned_model 3 rpn_min_overlap 4 rpn_max_overlap 5 "
    "classifier_min_overlap 6 classifier_max_overlap 7 std_scaling 8 classifier_regr_std 9 "
    "pretrained_weights 10 num_epochs 11 rpn_nms_max_boxes 16 rpn_nms_overlap_threshold 17 "
    "regularizer 20 rpn_pre_nms_top_N 35 rpn_mini_batch 36 gt_as_roi 38 lambda_rpn_regr 39 "
    "lambda_rpn_class 40 lambda_cls_regr 41 lambda_cls_class 42 optimizer 43 learning_rate 45 "
    "batch_size_per_gpu 46 resume_from_model 47 enable_augmentation 48 checkpoint_interval 49 "
    "enable_qat 50 model_parallelism 51 early_stopping 52 visualizer 53 keep_checkpoints 1000 "
    "save_best 1001 qat_per_channel_weights 1020 rpn_inside_anchors_only 1040 "
    "average_weights 1041",
    "RegularizerConfig": "type 1 weight 2",
    "OptimizerConfig": "adam 1 sgd 2 rmsprop 3",
    "AdamOptimizerConfig": "lr 1 beta_1 2 beta_2 3 epsilon 4 decay 5 amsgrad 6",
    "SgdOptimizerConfig": "lr 1 momentum 2 decay 3 nesterov 4",
    "RmspropOptimizerConfig": "lr 1",
    "LRConfig": "soft_start 1 step 2",
    "SoftStartAnnealingConfig": "base_lr 1 start_lr 2 soft_start 3 annealing_points 4 annealing_divider 5",
    "StepLrConfig": "base_lr 1 gamma 2 step_size 3",
    "EarlyStopping": "monitor 1 min_delta 2 patience 3",
    "VisualizerConfig": "enabled 1 num_images 2 weight_histograms 3 wandb_config 4 clearml_config 5",
    "WandbConfig": "enabled 1 key 2 project 3 entity 4 reinit 5 name 6 tags 7 wandb_dir 8 notes 9 mode 10",
    "ClearmlConfig": "project 1 task 2 tags 3 reuse_last_task_id 4 continue_last_task 5 deferred_init 6",
    "TrtInference": "trt_engine 1",
    "InferenceConfig": "images_dir 1 model 2 bbox_visualize_threshold 5 "
    "classifier_nms_overlap_threshold 6 rpn_nms_max_boxes 7 rpn_nms_overlap_threshold 8 "
    "classifier_nms_max_boxes 9 rpn_pre_nms_top_N 10 detection_image_output_dir 11 "
    "bbox_caption_on 12 labels_dump_dir 13 trt_inference 14 batch_size 15 object_confidence_thres 16 "
    "nms_score_bits 17",
    "EvaluationConfig": "model 3 rpn_nms_max_boxes 6 rpn_nms_overlap_threshold 7 "
    "classifier_nms_max_boxes 8 classifier_nms_overlap_threshold 9 object_confidence_thres 11 "
    "rpn_pre_nms_top_N 12 use_voc07_11point_metric 13 validation_period_during_training 15 "
    "batch_size 16 trt_evaluation 17 gt_matching_iou_threshold_range 18 gt_matching_iou_threshold 19 "
    "visualize_pr_curve 20 coco_matching 1040",
    "GtMatchingIouThresholdRange": "start 1 end 2 step 3",
    "DatasetExportConfig": "coco_config 1 kitti_config 2 sample_modifier_config 5 "
    "image_directory_path 6 target_class_mapping 7",
    "KITTIConfig": "root_directory_path 1 image_dir_name 2 label_dir_name 3 point_clouds_dir 4 "
    "calibrations_dir 5 kitti_sequence_to_frames_file 6 image_extension 7 num_partitions 8 "
    "num_shards 9 partition_mode 10 val_split 11",
    "COCOConfig": "root_directory_path 1 img_dir_names 2 annotation_files 3 num_partitions 4 num_shards 5",
    "SampleModifierConfig": "filter_samples_containing_only 1 dominant_target_classes 2 "
    "minimum_target_class_imbalance 3 num_duplicates 4 max_training_samples 5 "
    "source_to_target_class_mapping 6",
}
ENUMS = {
    "DatasetConfig.DATALOADER_MODE": {"MULTISOURCE": 0, "LEGACY": 1, "DEFAULT": 2},
    "DatasetConfig.SAMPLING_MODE": {"USER_DEFINED": 0, "PROPORTIONAL": 1, "UNIFORM": 2},
    "InputImageConfig.ImageType": {"RGB": 0, "GRAY_SCALE": 1},
    "RegularizerConfig.RegularizationType": {"NO_REG": 0, "L1": 1, "L2": 2},
    "WandbConfig.WandbMode": {"ONLINE": 0, "OFFLINE": 1, "DISABLED": 2},
}
ONEOFS = {
    "dataset_split_type": {"validation_fold", "validation_data_source"},
    "image_size_config": {"size_min", "size_height_width"},
    "optim": {"adam", "sgd", "rmsprop"},
    "lr_config": {"soft_start", "step"},
    "iou_threshold_config": {"gt_matching_iou_threshold_range", "gt_matching_iou_threshold"},
    "convert_config_type": {"coco_config", "kitti_config"},
}
MESSAGES = {
    name: descriptor
    for module in MODULES.values()
    for name, descriptor in module.DESCRIPTOR.message_types_by_name.items()
}
DOCS = {message.name: message for name in MODULES for message in document.read_proto(name)}
SCALARS = {
    FieldDescriptor.TYPE_UINT32: int,
    FieldDescriptor.TYPE_FLOAT: float,
    FieldDescriptor.TYPE_BOOL: bool,
    FieldDescriptor.TYPE_STRING: str,
}


def config_class(message: str) -> type:
    return getattr(spec, message)


def test_every_message_is_there():
    assert set(MESSAGES) == set(NUMBERS)


@pytest.mark.parametrize("message", NUMBERS)
def test_names_and_numbers_are_those_of_existing_specs(message):
    words = NUMBERS[message].split()
    expected = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    assert {field.name: field.number for field in MESSAGES[message].fields} == expected


def test_enums_and_oneofs_are_those_of_existing_specs():
    enums = {
        f"{name}.{enum.name}": {value.name: value.number for value in enum.values}
        for name, message in MESSAGES.items()
        for enum in message.enum_types
    }
    assert enums == ENUMS
    oneofs = {
        oneof.name: {field.name for field in oneof.fields}
        for message in MESSAGES.values()
        for oneof in message.oneofs
        if not oneof.name.startswith("_")  # what `optional` makes
    }
    assert oneofs == ONEOFS


def test_messages_stand_in_no_package():
    assert experiment_pb2.DESCRIPTOR.package == "" == dataset_export_pb2.DESCRIPTOR.package


@pytest.mark.parametrize("message", NUMBERS)
def test_unset_and_zero_differ_for_every_scalar(message):
    singular = (field for field in MESSAGES[message].fields if not field.is_repeated)
    assert [field.name for field in singular if not field.has_presence] == []


@pytest.mark.parametrize("message", NUMBERS)
def test_config_class_has_the_fields_of_the_message_with_their_types(message):
    fields = {field.name: annotation for field, annotation in schema_fields(config_class(message))}
    assert list(fields) == [field.name for field in MESSAGES[message].fields]
    for field in MESSAGES[message].fields:
        kind = _item_kind(field, fields[field.name])
        if field.type == FieldDescriptor.TYPE_MESSAGE and not _is_map(field):
            assert kind is config_class(field.message_type.name)
        elif field.type == FieldDescriptor.TYPE_ENUM:
            assert {member.name: member.value for member in kind} == {
                value.name: value.number for value in field.enum_type.values
            }
        elif field.name == "freeze_blocks":
            assert kind is int  # float in the schema, cut off to whole numbers
        else:
            item = field.message_type.fields_by_name["value"] if _is_map(field) else field
            assert kind is SCALARS[item.type]


@pytest.mark.parametrize("message", NUMBERS)
def test_config_objects_are_read_only(message):
    assert config_class(message).__dataclass_params__.frozen


@pytest.mark.parametrize("message", NUMBERS)
def test_comments_name_the_default_that_is_applied(message):
    for (field, _), doc in zip(schema_fields(config_class(message)), DOCS[message].fields, strict=True):
        default = default_of(field)
        assert doc.required == (default is dataclasses.MISSING), field.name
        if default is None:
            assert doc.default == "not set", field.name
        elif isinstance(default, bool | str):
            assert doc.default == (f'"{default}"' if isinstance(default, str) else str(default).lower())
        elif isinstance(default, int | float) and not doc.default.startswith("the model's"):
            assert float(doc.default.partition(",")[0]) == default, field.name


@pytest.mark.parametrize("message", NUMBERS)
def test_comments_name_the_range_that_is_checked(message):
    for (field, annotation), doc in zip(
        schema_fields(config_class(message)), DOCS[message].fields, strict=True
    ):
        texts = set(_constraint_texts(annotation))
        if doc.type != "enum":
            written = {doc.range} if doc.range in texts else set(_split_range(doc.range))
            assert written == texts, field.name
        _, extras = split_annotation(annotation)
        if ZeroIsNotSet() in extras and field.name not in ("activation_type", "image_extension"):
            assert "0 counts as not set" in doc.text, field.name


def test_every_field_has_a_comment_with_a_meaning():
    assert [f"{m}.{f.name}" for m, doc in DOCS.items() for f in doc.fields if not f.text.endswith(".")] == []


def test_the_field_reference_is_current(capsys):
    spec = importlib.util.spec_from_file_location("generate", ROOT / "scripts/generate_spec_docs.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert (ROOT / "docs/spec.md").read_text(encoding="utf-8") == document.page(generate.example())


def test_generated_code_is_current(tmp_path):
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = ROOT / "scripts/generate_proto.sh"
    subprocess.run([str(script), str(tmp_path)], check=True, env=environment)
    generated = sorted((tmp_path / "frcnn/spec").iterdir())
    assert [path.name for path in generated] == [
        "dataset_export_pb2.py",
        "dataset_export_pb2.pyi",
        "experiment_pb2.py",
        "experiment_pb2.pyi",
    ]
    for path in generated:
        assert path.read_bytes() == (ROOT / "shared/src/frcnn/spec" / path.name).read_bytes(), path.name


def _is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _item_kind(field, annotation):
    kind, _ = split_annotation(annotation)
    if _is_map(field):
        return split_annotation(typing.get_args(kind)[1])[0]
    return split_annotation(typing.get_args(kind)[0])[0] if field.is_repeated else kind


def _constraint_texts(annotation):
    kind, extras = split_annotation(annotation)
    yield from (extra.text for extra in extras if isinstance(extra, Constraint))
    if typing.get_origin(kind) is not None:
        item = typing.get_args(kind)[0 if typing.get_origin(kind) is tuple else 1]
        yield from _constraint_texts(item)


def _split_range(text):
    """`> 0, at least one` and `> 0, keys x, y, w, h` hold two constraints each."""
    first, _, second = text.partition(", ")
    if first.startswith(("(", "[")):
        return [text]
    return [part for part in (first, second) if part]
