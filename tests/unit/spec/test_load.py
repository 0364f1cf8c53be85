"""Values of loaded specs: what the file says, documented defaults, what follows from other fields."""

import copy
import dataclasses
import pickle
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frcnn.errors import SpecError
from frcnn.spec import load_dataset_export, load_experiment
from frcnn.spec.load import load_any, parse_dataset_export, parse_experiment
from frcnn.spec.schema.data import DataloaderMode, SamplingMode
from frcnn.spec.schema.from_message import shortest_float
from frcnn.spec.schema.frozen_map import FrozenMap
from frcnn.spec.schema.model import ImageType
from frcnn.spec.schema.training import AdamOptimizerConfig, RegularizationType, WandbMode
from tests.unit.spec.samples import DATA, GUIDE, MINIMAL, ROOT, changed

EXAMPLES = sorted((ROOT / "examples/specs").glob("*.txt"))


def minimal(*changes):
    return parse_experiment(changed(MINIMAL, *changes), "spec.txt").spec


def test_the_user_guides_sample_has_its_values():
    spec = load_experiment(DATA / "guide_sample.txt")
    image = spec.model_config.input_image_config
    assert (spec.random_seed, spec.verbose, spec.enc_key) == (42, True, "nvidia_tlt")
    assert image.size_height_width is not None and image.size_min is None
    assert (image.size_height_width.height, image.size_height_width.width, image.channels) == (384, 1248, 3)
    assert dict(image.image_channel_mean) == {"r": 123.68, "g": 116.779, "b": 103.939}
    assert image.image_type is ImageType.RGB
    assert spec.model_config.anchor_box_config.ratio == (1.0, 0.5, 2.0)
    assert spec.model_config.freeze_blocks == (0, 1)
    assert [type(block) for block in spec.model_config.freeze_blocks] == [int, int]
    training = spec.training_config
    assert training.optimizer.sgd is not None and training.optimizer.adam is None
    assert (training.optimizer.sgd.lr, training.optimizer.sgd.momentum) == (0.02, 0.9)
    assert training.learning_rate.soft_start is not None and training.learning_rate.step is None
    assert training.learning_rate.soft_start.annealing_points == (0.8, 0.9)
    assert training.regularizer.type is RegularizationType.L2
    assert training.regularizer.weight == 1e-4
    assert dict(training.classifier_regr_std) == {"x": 10.0, "y": 10.0, "w": 5.0, "h": 5.0}
    assert spec.dataset_config.data_sources[0].tfrecords_path.endswith("kitti_trainval*")
    assert spec.dataset_config.validation_fold == 0
    assert spec.dataset_config.validation_data_source is None
    assert spec.class_names == ("car", "cyclist", "person")
    assert spec.inference_config.object_confidence_thres == 0.0001
    assert spec.evaluation_config.gt_matching_iou_threshold == 0.5
    assert spec.source == str(DATA / "guide_sample.txt")
    assert spec.text == GUIDE


def test_documented_defaults_are_applied():
    spec = minimal()
    assert (spec.random_seed, spec.enc_key, spec.verbose) == (42, "", False)
    model = spec.model_config
    assert (model.roi_mini_batch, model.rpn_stride, model.roi_pooling_config.pool_size) == (256, 16, 7)
    assert (model.input_image_config.image_scaling_factor, model.activation.activation_type) == (1.0, "swish")
    assert model.input_image_config.max_objects_num_per_image == 100
    assert (model.freeze_blocks, model.freeze_bn, model.use_bias) == ((), False, False)
    training = spec.training_config
    assert (training.num_epochs, training.checkpoint_interval, training.enable_augmentation) == (20, 1, True)
    assert (training.rpn_min_overlap, training.rpn_max_overlap, training.rpn_mini_batch) == (0.3, 0.7, 256)
    assert (training.classifier_min_overlap, training.classifier_max_overlap) == (0.0, 0.5)
    assert dict(training.classifier_regr_std) == {"x": 10.0, "y": 10.0, "w": 5.0, "h": 5.0}
    assert (training.rpn_pre_nms_top_N, training.rpn_nms_max_boxes) == (12000, 2000)
    assert training.regularizer.type is RegularizationType.NO_REG
    assert (training.keep_checkpoints, training.save_best, training.early_stopping) == (0, True, None)
    assert (training.visualizer.enabled, training.visualizer.num_images) == (False, 3)
    assert training.optimizer.sgd is not None
    assert (training.optimizer.sgd.lr, training.optimizer.sgd.momentum) == (1e-5, 0.0)
    inference, evaluation = spec.inference_config, spec.evaluation_config
    for config in (inference, evaluation):
        assert (config.rpn_pre_nms_top_N, config.rpn_nms_max_boxes, config.batch_size) == (6000, 300, 1)
        assert (config.classifier_nms_max_boxes, config.classifier_nms_overlap_threshold) == (100, 0.3)
        assert (config.object_confidence_thres, config.rpn_nms_overlap_threshold) == (0.0001, 0.7)
    assert inference.bbox_visualize_threshold == 0.6
    assert evaluation.gt_matching_iou_threshold == 0.5
    assert spec.dataset_config.dataloader_mode is DataloaderMode.MULTISOURCE
    assert spec.dataset_config.sampling_mode is SamplingMode.USER_DEFINED


def test_unset_and_zero_differ():
    spec = minimal(("batch_size_per_gpu: 4", "batch_size_per_gpu: 4 visualizer { num_images: 0 }"))
    assert spec.training_config.visualizer.num_images == 0
    assert minimal(("model_config {", "random_seed: 0 model_config {")).random_seed == 0
    spec = minimal(("batch_size_per_gpu: 4", "batch_size_per_gpu: 4 enable_augmentation: false"))
    assert spec.training_config.enable_augmentation is False


def test_zero_means_the_default_where_it_always_did():
    spec = minimal(
        ("batch_size_per_gpu: 4", "batch_size_per_gpu: 4 checkpoint_interval: 0"),
        ("optimizer { sgd { } }", "optimizer { adam { epsilon: 0 } }"),
        (
            "dataset_config {",
            "evaluation_config { batch_size: 0 validation_period_during_training: 0 } "
            "inference_config { batch_size: 0 } "
            "augmentation_config { spatial_augmentation { rotate_probability: 0 } } dataset_config {",
        ),
    )
    assert spec.training_config.checkpoint_interval == 1
    assert spec.training_config.optimizer.adam == AdamOptimizerConfig()
    assert spec.evaluation_config.batch_size == spec.inference_config.batch_size == 1
    assert spec.evaluation_config.validation_period_during_training == 1
    assert spec.augmentation_config.spatial_augmentation.rotate_probability == 1.0


def test_of_a_oneof_the_last_member_counts():
    spec = minimal(("optimizer { sgd { } }", "optimizer { sgd { } rmsprop { lr: 1 } }"))
    assert spec.training_config.optimizer.sgd is None
    assert spec.training_config.optimizer.rmsprop is not None


def test_a_range_of_ious_replaces_the_single_one():
    spec = minimal(
        ("dataset_config {", "evaluation_config { gt_matching_iou_threshold_range { } } dataset_config {")
    )
    assert spec.evaluation_config.gt_matching_iou_threshold is None
    iou = spec.evaluation_config.gt_matching_iou_threshold_range
    assert iou is not None
    assert (iou.start, iou.end, iou.step) == (0.5, 1.0, 0.05)


def test_an_empty_message_is_there():
    spec = minimal(("dataset_config {", "inference_config { trt_inference { } } dataset_config {"))
    assert spec.inference_config.trt_inference is not None
    assert spec.inference_config.trt_inference.trt_engine == ""


def test_scalars_that_stand_twice_count_once_and_lists_grow():
    spec = minimal(
        ("scale: 32", "scale: [32, 64] scale: 128"),
        ('arch: "resnet:10"', 'arch: "vgg:16" arch: "resnet:" "18"'),
        ('key: "car" value: "car"', 'key: "car" value: "x" } target_class_mapping { key: "car" value: "y"'),
    )
    assert spec.model_config.anchor_box_config.scale == (32.0, 64.0, 128.0)
    assert spec.model_config.arch == "resnet:18"
    assert spec.class_names == ("y",)


def test_fractions_of_block_ids_are_cut_off():
    spec = minimal(('arch: "resnet:10"', 'arch: "resnet:10" freeze_blocks: [0.0, 1.9]'))
    assert spec.model_config.freeze_blocks == (0, 1)


def test_enums_may_be_numbers():
    spec = minimal(
        ('image_channel_order: "rgb"', 'image_channel_order: "rgb" image_type: 0'),
        ("batch_size_per_gpu: 4", "batch_size_per_gpu: 4 visualizer { wandb_config { mode: 1 } }"),
    )
    assert spec.model_config.input_image_config.image_type is ImageType.RGB
    assert spec.training_config.visualizer.wandb_config is not None
    assert spec.training_config.visualizer.wandb_config.mode is WandbMode.OFFLINE


# ---- what follows from other fields


def test_input_size_and_channels_come_from_the_model():
    config = minimal().augmentation_config.preprocessing
    assert (config.output_image_width, config.output_image_height, config.output_image_channel) == (
        320,
        256,
        3,
    )
    assert config.output_image_min == 0


def test_a_gray_model_has_one_channel():
    spec = minimal(
        ('image_channel_order: "rgb"', 'image_channel_order: "l" image_type: GRAY_SCALE'),
        ('key: "r" value: 123.68', 'key: "l" value: 117'),
    )
    assert spec.model_config.input_image_config.channels == 1
    assert spec.augmentation_config.preprocessing.output_image_channel == 1


def test_a_dynamic_model_gives_the_short_side():
    spec = minimal(
        ("size_height_width { height: 256 width: 320 }", "size_min { min: 300 }"),
        ("batch_size_per_gpu: 4", "batch_size_per_gpu: 1"),
        (
            "dataset_config {",
            "augmentation_config { preprocessing { output_image_max: 500 } } dataset_config {",
        ),
    )
    config = spec.augmentation_config.preprocessing
    assert (config.output_image_min, config.output_image_max, config.output_image_width) == (300, 500, 0)


def test_class_keys_are_read_in_lower_case():
    pairs = (("Car", "car"), ("car", "car"), ("CAR", "car"), ("Van", "Van"))
    entries = " } target_class_mapping { ".join(f'key: "{key}" value: "{value}"' for key, value in pairs)
    spec = minimal(('key: "car" value: "car"', entries))
    assert dict(spec.dataset_config.target_class_mapping) == {"car": "car", "van": "Van"}
    assert spec.class_names == ("Van", "car")


# ---- dataset_convert and the kind of a file


def test_dataset_spec_has_its_values_and_defaults(tmp_path):
    path = tmp_path / "convert.txt"
    path.write_text('kitti_config { partition_mode: "sequence" kitti_sequence_to_frames_file: "s.json" }')
    spec = load_dataset_export(path)
    assert spec.kitti_config is not None and spec.coco_config is None
    assert (spec.kitti_config.image_extension, spec.kitti_config.num_partitions) == (".png", 0)
    assert (spec.kitti_config.val_split, spec.sample_modifier_config) == (0.0, None)
    assert (spec.source, spec.text) == (str(path), path.read_text())


def test_coco_shards_default_to_one_file_per_fold():
    text = 'coco_config { img_dir_names: "a" annotation_files: "a.json" num_partitions: 1 }'
    config = parse_dataset_export(text).spec.coco_config
    assert config is not None
    assert config.num_shards == (0,)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_load(path, caplog):
    load_any(path)
    assert caplog.messages == []


def test_there_are_examples_of_each_kind():
    names = {path.name for path in EXAMPLES}
    assert names >= {
        "kitti_resnet18.txt", "kitti_convert.txt", "grayscale_resnet18.txt", "dynamic_shape_resnet18.txt",
        "synthetic_resnet10.txt", "synthetic_convert.txt",
    }  # fmt: skip


# ---- the objects


def test_specs_cannot_be_changed_but_hashed_copied_and_pickled():
    spec = minimal()
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.random_seed = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        spec.dataset_config.target_class_mapping["x"] = "y"  # type: ignore[index]
    assert hash(spec) == hash(copy.deepcopy(spec)) == hash(pickle.loads(pickle.dumps(spec)))
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert pickle.loads(pickle.dumps(spec)).text == spec.text


def test_keys_do_not_appear_in_messages():
    spec = minimal(
        ("model_config {", "enc_key: 'secret1' model_config {"),
        ("batch_size_per_gpu: 4", "batch_size_per_gpu: 4 visualizer { wandb_config { key: 'secret2' } }"),
    )
    assert "secret" not in repr(spec)


def test_a_frozen_map_is_a_sorted_map():
    entries = FrozenMap({"b": 1, "a": 2})
    assert (list(entries), len(entries), entries["b"], entries == {"a": 2, "b": 1}) == (
        ["a", "b"],
        2,
        1,
        True,
    )
    assert repr(entries) == "FrozenMap({'a': 2, 'b': 1})"


@given(value=st.floats(width=32, allow_nan=False))
def test_shortest_decimal_means_the_same_float32(value):
    short = shortest_float(value)
    assert struct.pack("<f", short) == struct.pack("<f", value)
    assert len(repr(short)) <= len(repr(value))


def test_shortest_decimals():
    as_float32 = [0.699999988079071, 9.999999747378752e-05, 0.0, 1e10, 16777216.0]
    assert [shortest_float(value) for value in as_float32] == [0.7, 0.0001, 0.0, 1e10, 16777216.0]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(tmp_path, end):
    text = end.join(["# a comment", *MINIMAL.splitlines(), ""])
    (tmp_path / "spec.txt").write_bytes(text.encode())
    assert load_experiment(tmp_path / "spec.txt") == parse_experiment(MINIMAL, "spec").spec


def test_only_for_a_missing_file_is_another_one_named(tmp_path):
    (tmp_path / "spec.txt").write_text("")
    (tmp_path / "spec.loop").symlink_to("spec.loop")
    for name, said in (
        ("spce.txt", "No such file.*did you mean 'spec.txt'"),
        ("spec.loop", "symbolic links$"),
    ):
        with pytest.raises(SpecError, match=said):
            load_experiment(tmp_path / name)


@pytest.mark.parametrize("field", ["num_shards", "num_partitions"])
def test_more_files_than_anybody_reads_are_refused(field):
    text = (
        'kitti_config { image_dir_name: "images" label_dir_name: "labels" partition_mode: "sequence" '
        f'kitti_sequence_to_frames_file: "a.json" num_partitions: 2 {field}: 4000000000 }}'
    )
    with pytest.raises(SpecError, match=rf"{field}: found 4e\+09; expected a number in \[0, 65536\]"):
        parse_dataset_export(text)
