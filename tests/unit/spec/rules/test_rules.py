"""Ranges and rules between fields: what is refused, where, and what is accepted."""

import logging

import pytest

from frcnn.spec.archs import ARCHS
from frcnn.spec.load import parse_experiment
from frcnn.spec.schema import constraints
from tests.unit.spec.samples import GUIDE, MINIMAL, REFERENCE, changed, export_problems_of, problems_of

INPUT = "model_config.input_image_config"
DYNAMIC = changed(
    GUIDE,
    ("size_height_width {\nheight: 384\nwidth: 1248\n}", "size_min { min: 384 }"),
    ("output_image_width: 1248\noutput_image_height: 384", "output_image_min: 384 output_image_max: 1280"),
    ("batch_size_per_gpu: 8", "batch_size_per_gpu: 1"),
)


@pytest.mark.parametrize(
    ("text", "change", "path", "message"),
    [
        (MINIMAL, ("height: 256", "height: 127"), f"{INPUT}.size_height_width.height",
         "found 127; expected a number in [128, 65535] px"),
        (GUIDE, ("size_height_width {\nheight: 384\nwidth: 1248\n}", ""), INPUT,
         "no input size; expected size_height_width (static shape) or size_min (dynamic shape)"),
        (GUIDE, ("'bgr'", "'brg'"), f"{INPUT}.image_channel_order",
         "found \"brg\"; expected one of rgb, bgr, l; did you mean 'rgb'?"),
        (GUIDE, ("value: 103.939", "value: 255"), f'{INPUT}.image_channel_mean["b"]',
         "found 255; expected a number in (0, 255)"),
        (GUIDE, ("key: 'b'", "key: 'B'"), f"{INPUT}.image_channel_mean",
         "found keys: B, g, r; expected r, g, b for image_type RGB, missing: b; did you mean 'b'?"),
        (MINIMAL, ("image_channel_order", "image_type: GRAY_SCALE image_channel_order"),
         f"{INPUT}.image_channel_mean",
         "found keys: b, g, r; expected l for image_type GRAY_SCALE, missing: l"),
        (GUIDE, ("image_scaling_factor: 1.0", "image_scaling_factor: 0"), f"{INPUT}.image_scaling_factor",
         "found 0; expected a number > 0"),
        (GUIDE, ("max_objects_num_per_image: 100", "max_objects_num_per_image: 0"),
         f"{INPUT}.max_objects_num_per_image", "found 0; expected a number in [1, 100000]"),
        (GUIDE, ("max_objects_num_per_image: 100", "max_objects_num_per_image: 4000000000"),
         f"{INPUT}.max_objects_num_per_image", "found 4e+09; expected a number in [1, 100000]"),
        (MINIMAL, ("height: 256", "height: 4000000000"), f"{INPUT}.size_height_width.height",
         "found 4e+09; expected a number in [128, 65535] px"),
        (GUIDE, ("scale: 256.0", "scale: -256"), "model_config.anchor_box_config.scale[2]",
         "found -256; expected a number > 0"),
        (GUIDE, ("rpn_stride: 16", "rpn_stride: 8"), "model_config.rpn_stride", "found 8; expected only 16"),
        (GUIDE, ("freeze_blocks: 1", "freeze_blocks: 4"), "model_config.freeze_blocks[1]",
         "found 4; expected a block of resnet: 0 to 3"),
        (GUIDE, ("image_extension: 'png'", "image_extension: '.png'"), "dataset_config.image_extension",
         "found \".png\"; expected one of jpg, jpeg, png, in any case; did you mean 'png'?"),
        (GUIDE, ("key: 'van'", "key: 'Background'"),
         'dataset_config.target_class_mapping["Background"].key',
         'found "Background"; this name is reserved for "no object"'),
        (GUIDE, ("value: 'cyclist'", "value: 'background'"), 'dataset_config.target_class_mapping["cyclist"]',
         'found "background"; reserved for "no object"; expected another class, or no entry for "cyclist"'),
        (GUIDE, ("value: 'cyclist'", "value: ''"), 'dataset_config.target_class_mapping["cyclist"]',
         "empty; expected the name of a class"),
        (GUIDE, ("output_image_width: 1248", "output_image_width: 1242"),
         "augmentation_config.preprocessing.output_image_width",
         "found 1242; expected 1248 as in model_config.input_image_config, or unset"),
        (GUIDE, ("output_image_channel: 3", "output_image_channel: 1"),
         "augmentation_config.preprocessing.output_image_channel", "found 1; expected 3 for image_type RGB"),
        (GUIDE, ("output_image_channel: 3", "output_image_min: 300"),
         "augmentation_config.preprocessing.output_image_min",
         "found 300 with a model of static shape; "
         "leave it unset, or use size_min in model_config.input_image_config"),
        (GUIDE, ("output_image_channel: 3", "crop_left: 9 crop_right: 8"),
         "augmentation_config.preprocessing.crop_left",
         "found 9 with crop_right 8; expected crop_left <= crop_right (px)"),
        (GUIDE, ("zoom_min: 1.0", "zoom_min: 1.5"), "augmentation_config.spatial_augmentation.zoom_min",
         "found 1.5 with zoom_max 1; expected zoom_min <= zoom_max"),
        (GUIDE, ("zoom_max: 1.0", "zoom_max: 0"), "augmentation_config.spatial_augmentation.zoom_max",
         "found 0; expected a number > 0"),
        (GUIDE, ("hflip_probability: 0.5", "hflip_probability: 50"),
         "augmentation_config.spatial_augmentation.hflip_probability",
         "found 50; expected a number in [0, 1]"),
        (GUIDE, ("contrast_center: 0.5", "contrast_center: nan"),
         "augmentation_config.color_augmentation.contrast_center", "found nan; expected a finite number"),
        (GUIDE, ("hue_rotation_max: 0.0", "hue_rotation_max: inf"),
         "augmentation_config.color_augmentation.hue_rotation_max", "found inf; expected a finite number"),
        (GUIDE, ("batch_size_per_gpu: 8", "batch_size_per_gpu: 0"), "training_config.batch_size_per_gpu",
         "found 0; expected a number >= 1"),
        (GUIDE, ("rpn_max_overlap: 0.7", "rpn_max_overlap: 0.3"), "training_config.rpn_min_overlap",
         "found 0.3 with rpn_max_overlap 0.3; expected rpn_min_overlap < rpn_max_overlap (IoU)"),
        (GUIDE, ("rpn_max_overlap: 0.7", "rpn_max_overlap: 1.1"), "training_config.rpn_max_overlap",
         "found 1.1; expected a number in (0, 1]"),
        (GUIDE, ("classifier_min_overlap: 0.0", "classifier_min_overlap: 0.5"),
         "training_config.classifier_min_overlap",
         "found 0.5 with classifier_max_overlap 0.5; "
         "expected classifier_min_overlap < classifier_max_overlap (IoU)"),
        (GUIDE, ("key: 'h'", "key: 'H'"), "training_config.classifier_regr_std",
         "keys x, y, w, h are required; missing: h (found: H, w, x, y)"),
        (GUIDE, ("value: 5.0", "value: 0"), 'training_config.classifier_regr_std["w"]',
         "found 0; expected a number > 0"),
        (GUIDE, ("rpn_nms_max_boxes: 2000", "rpn_nms_max_boxes: 12000"), "training_config.rpn_nms_max_boxes",
         "found 12000 with rpn_pre_nms_top_N 12000; "
         "expected rpn_nms_max_boxes < rpn_pre_nms_top_N (boxes)"),
        (GUIDE, ("weight: 1e-4", "weight: 0"), "training_config.regularizer.weight",
         "found 0 with type L2; expected a number in (0, 1), or NO_REG"),
        (GUIDE, ("lambda_cls_class: 1.0", "lambda_cls_class: 0"), "training_config.lambda_cls_class",
         "found 0; expected a number > 0"),
        (GUIDE, ("sgd {\nlr: 0.02\nmomentum: 0.9\ndecay: 0.0\nnesterov: False\n}", ""),
         "training_config.optimizer", "empty; expected one of adam, sgd, rmsprop"),
        (MINIMAL, ("soft_start { base_lr: 0.02 }", ""), "training_config.learning_rate",
         "empty; expected one of soft_start, step"),
        (GUIDE, ("annealing_points: 0.9", "annealing_points: 0.7"),
         "training_config.learning_rate.soft_start.annealing_points[1]",
         "found 0.7 after 0.8; expected points in ascending order"),
        (GUIDE, ('arch: "resnet:18"', 'arch: "efficientnet:b7" drop_connect_rate: 0.3'),
         "model_config.drop_connect_rate",
         "found 0.3; expected less than 0.2963 for efficientnet:b7: the rate increases with each unit, "
         "and the last unit would drop everything"),
        (GUIDE, ("soft_start: 0.1", "soft_start: 0.8"), "training_config.learning_rate.soft_start.soft_start",
         "found 0.8; expected less than the first of annealing_points, 0.8"),
        (REFERENCE, ("step_size: 30", "step_size: 0"), "training_config.learning_rate.step.step_size",
         "found 0; expected a number in (0, 100]"),
        (REFERENCE, ("gamma: 1.0", "gamma: 1.1"), "training_config.learning_rate.step.gamma",
         "found 1.1; expected a number in [0, 1]"),
        (GUIDE, ("num_epochs: 12", "num_epochs: 12 resume_from_model: 'a/frcnn.tlt'"),
         "training_config.resume_from_model",
         'found "a/frcnn.tlt"; expected a results folder, or a file name with the epoch, like '
         '"frcnn_resnet_18.epoch_12.tlt"'),
        (GUIDE, ("num_epochs: 12", 'num_epochs: 12 early_stopping { monitor: "mAP" patience: 1 }'),
         "training_config.early_stopping.monitor", 'found "mAP"; expected only loss'),
        (GUIDE, ("num_epochs: 12", "num_epochs: 12 early_stopping { }"),
         "training_config.early_stopping.patience", "required, but not set; expected >= 1"),
        (GUIDE, ("bbox_visualize_threshold: 0.6", "bbox_visualize_threshold: 1.0"),
         "inference_config.bbox_visualize_threshold", "found 1; expected a number in (0, 1)"),
        (GUIDE, ("gt_matching_iou_threshold: 0.5", "gt_matching_iou_threshold: 1"),
         "evaluation_config.gt_matching_iou_threshold", "found 1; expected a number in (0, 1)"),
        (GUIDE,
         ("gt_matching_iou_threshold: 0.5", "gt_matching_iou_threshold_range { start: 0.9 end: 0.5 }"),
         "evaluation_config.gt_matching_iou_threshold_range.start",
         "found 0.9 with end 0.5; expected start < end (IoU)"),
        (DYNAMIC, ("output_image_max: 1280", ""), "augmentation_config.preprocessing.output_image_max",
         "required, but not set; expected a maximum for the long side, 384 px or more, for a dynamic shape"),
        (DYNAMIC, ("output_image_max: 1280", "output_image_max: 200"),
         "augmentation_config.preprocessing.output_image_max",
         "found 200; expected a maximum for the long side, 384 px or more, for a dynamic shape"),
        (DYNAMIC, ("output_image_min: 384", "output_image_width: 640"),
         "augmentation_config.preprocessing.output_image_width",
         "found 640 with a model of dynamic shape (size_min); "
         "expected output_image_min and output_image_max instead"),
        (GUIDE, ("data_sources: {", "data_sources: { source_weight: -1"),
         "dataset_config.data_sources[0].source_weight", "found -1; expected a number > 0"),
        (DYNAMIC, ("min: 384", "min: 100"), f"{INPUT}.size_min.min",
         "found 100; expected a number in [128, 65535] px"),
    ],
)  # fmt: skip
def test_fault_is_found(text, change, path, message):
    problems = problems_of(changed(text, change))
    assert [(problem.path, problem.message) for problem in problems] == [(path, message)]
    assert problems[0].line is not None


def test_the_samples_have_no_faults():
    assert [problems_of(text) for text in (GUIDE, MINIMAL, REFERENCE, DYNAMIC)] == [()] * 4


@pytest.mark.parametrize("arch", ARCHS)
def test_all_archs_are_known(arch):
    assert len(ARCHS) == 22
    text = changed(MINIMAL, ('"resnet:10"', f'"{arch}"'))
    assert parse_experiment(text).spec.model_config.arch == arch


@pytest.mark.parametrize(
    ("arch", "first", "last"),
    [
        ("resnet:50", 0, 3), ("resnet101", 0, 3), ("vgg:16", 1, 5), ("vgg16", 1, 5), ("googlenet", 0, 7),
        ("mobilenet_v1", 0, 11), ("mobilenet_v2", 0, 13), ("darknet:53", 0, 5),
    ],
)  # fmt: skip
def test_blocks_that_can_be_frozen_depend_on_the_family(arch, first, last):
    def faults(block):
        text = changed(MINIMAL, ('"resnet:10"', f'"{arch}" freeze_blocks: {block}'))
        return len(problems_of(text))

    assert [faults(first), faults(last), faults(last + 1)] == [0, 0, 1]
    assert first == 0 or faults(first - 1) == 1


@pytest.mark.parametrize(
    "name",
    [
        *("a.epoch_12.tlt", "runs/frcnn_vgg_16.epoch_3.hdf5", "x.epoch12.tlt", "a.b.epoch_1.keras"),
        *("runs/mine", "runs/mine/latest"),
    ],
)
def test_checkpoints_with_an_epoch_in_their_name_can_be_resumed(name):
    assert (
        problems_of(changed(GUIDE, ("num_epochs: 12", f"num_epochs: 12 resume_from_model: '{name}'"))) == ()
    )


@pytest.mark.parametrize(
    "name", ["epoch_12.tlt", "a.epoch_.tlt", "a.epoch_1", "a.epoch_1/b.tlt", "a.epoch_x.h5"]
)
def test_other_names_cannot(name):
    text = changed(GUIDE, ("num_epochs: 12", f"num_epochs: 12 resume_from_model: '{name}'"))
    assert [p.path for p in problems_of(text)] == ["training_config.resume_from_model"]


# ---- dataset_convert

KITTI = 'kitti_config { root_directory_path: "d" partition_mode: "random" num_partitions: 2 val_split: 20 }'
COCO = (
    'coco_config { root_directory_path: "d" img_dir_names: ["a", "b"] annotation_files: ["a.json", "b.json"] '
    "num_partitions: 2 num_shards: 4 }"
)
MODIFIER = (
    'sample_modifier_config { dominant_target_classes: "car" filter_samples_containing_only: "person" '
    'source_to_target_class_mapping { key: "van" value: "car" } '
    'source_to_target_class_mapping { key: "person" value: "person" } }'
)


@pytest.mark.parametrize("text", [KITTI, COCO, KITTI + MODIFIER])
def test_dataset_specs_have_no_faults(text):
    assert export_problems_of(text) == ()


@pytest.mark.parametrize(
    ("text", "change", "path", "message"),
    [
        ("image_directory_path: 'x'", ("x", "y"), "",
         "no data set; expected one of kitti_config, coco_config"),
        (KITTI, ("num_partitions: 2", "num_partitions: 3"), "kitti_config.num_partitions",
         'found 3; expected 2 in partition_mode "random": fold 0 for validation, fold 1 for training; '
         "or unset, for one set without folds"),
        (KITTI, ("num_partitions: 2", ""), "kitti_config.val_split",
         "found 20 with one set; expected num_partitions: 2, or no val_split"),
        (KITTI, ('"random"', '"sequence"'), "kitti_config.kitti_sequence_to_frames_file",
         'required in partition_mode "sequence"; expected a JSON file {sequence: [frame id, ...]}'),
        (KITTI, ('"random"', '"randon"'), "kitti_config.partition_mode",
         "found \"randon\"; expected one of random, sequence; did you mean 'random'?"),
(KITTI, ("val_split: 20", "val_split: 100"), "kitti_config.val_split",
         "found 100; expected a number in [0, 100)"),
        (KITTI, ("val_split: 20", "val_split: -1"), "kitti_config.val_split",
         "found -1; expected a number in [0, 100)"),
        (COCO, ('"a", "b"', '"a"'), "coco_config.img_dir_names",
         "found 1; expected 2, one for each of num_partitions"),
        (COCO, (', "b.json"', ""), "coco_config.annotation_files",
         "found 1; expected 2, one for each of num_partitions"),
        (COCO, ("num_shards: 4", "num_shards: [1, 2, 3]"), "coco_config.num_shards",
         "found 3 numbers; expected one for all partitions, or one for each of the 2"),
        (KITTI + MODIFIER, ('dominant_target_classes: "car"', 'dominant_target_classes: "cars"'),
         "sample_modifier_config.dominant_target_classes[0]",
         "found \"cars\"; expected a value of source_to_target_class_mapping: "
         "car, person; did you mean 'car'?"),
        (KITTI + MODIFIER, ('only: "person"', 'only: "persons"'),
         "sample_modifier_config.filter_samples_containing_only[0]",
         "found \"persons\"; expected a value of source_to_target_class_mapping: "
         "car, person; did you mean 'person'?"),
    ],
)  # fmt: skip
def test_fault_of_a_dataset_spec_is_found(text, change, path, message):
    problems = export_problems_of(changed(text, change))
    assert [(problem.path, problem.message) for problem in problems] == [(path, message)]


# ---- remarks


def remarks(text, caplog):
    with caplog.at_level(logging.WARNING):
        parse_experiment(text, "spec.txt")
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        (("'bgr'", "'l'"), '7:1  model_config.input_image_config.image_channel_order: found "l" with '
         "image_type RGB; it is read as rgb"),
        (("key: 'van'", "key: 'Van'"),
         'dataset_config.target_class_mapping["Van"].key: found "Van"; '
         'classes in records are lower-case and without spaces, so it is read as "van"'),
        (("validation_fold: 0", "validation_fold: 0 dataloader_mode: LEGACY"),
         "dataset_config.dataloader_mode: found LEGACY; it is read as MULTISOURCE"),
        (("data_sources: {", "sampling_mode: UNIFORM data_sources: { source_weight: 2.5"),
         "data_sources[0].source_weight: found 2.5; ignored with sampling_mode UNIFORM"),
        (("start_lr: 0.002", "start_lr: 0.2"), "start_lr: found 0.2, more than base_lr 0.02"),
        (("num_epochs: 12", "num_epochs: 12 checkpoint_interval: 13"),
         "checkpoint_interval: found 13 with 12 epochs; no checkpoint is saved"),
        (("num_epochs: 12", "num_epochs: 12 resume_from_model: 'a.epoch_1.tlt'"),
         "retrain_pruned_model: ignored, resume_from_model takes precedence"),
        (('arch: "resnet:18"', 'arch: "resnet:18" dropout_rate: 0.5'),
         "model_config.dropout_rate: found 0.5; ignored for resnet:18, it is an option of vgg, "
         "efficientnet, vgg16"),
        (("zoom_min: 1.0", "rotate_rad_max: 0.17453 zoom_min: 1.0"),
         "rotate_rad_max: found 0.17453; the unit is degrees despite the name; if radians were meant, "
         "write 10"),
        (("zoom_min: 1.0", "rotate_rad_max: 3.1416 zoom_min: 1.0"), "if radians were meant, write 180"),
        (("zoom_min: 1.0", "rotate_rad_max: 270 zoom_min: 1.0"),
         "rotate_rad_max: found 270; the unit is degrees, and 180 already covers every orientation"),
        (("contrast_center: 0.5", "contrast_center: 127.5"),
         "contrast_center: found 127.5; the unit is full scale, 1 is the brightest pixel value, 255; if "
         "pixel values were meant, write 0.5"),
        (("contrast_center: 0.5", "contrast_center: 0.5 color_shift_stddev: 25.5"), "meant, write 0.1"),
        (("contrast_center: 0.5", "contrast_center: 0.5 saturation_shift_max: 20"),
         "saturation_shift_max: found 20; above 1, colors may be inverted"),
        (("contrast_center: 0.5", "contrast_center: 0.5 contrast_scale_max: 2"),
         "contrast_scale_max: found 2; above 1, brightness may be inverted"),
        (("contrast_center: 0.5", "contrast_center: 0.5 hue_rotation_max: 360"),
         "hue_rotation_max: found 360; the unit is degrees, and 180 already covers every hue"),
        (("translate_max_x: 0", "translate_max_x: 1248"),
         "translate_max_x: found 1248 with an input of 1248x384; many images will be empty"),
        (("min_bbox_height: 1.0", "min_bbox_height: 384"),
         "min_bbox_height: found 384 with an input of 1248x384; no object is that large"),
        (("annealing_divider: 10.0", "annealing_divider: 0.1"),
         "annealing_divider: found 0.1; the rate rises at each of annealing_points"),
        (("images_dir:", "trt_inference { trt_engine: 'a.engine' } images_dir:"),
         "inference_config.trt_inference: deprecated; name the engine in inference_config.model or with -m"),
        (("validation_period_during_training: 1", "trt_evaluation { }"),
         "evaluation_config.trt_evaluation: deprecated; name the engine in evaluation_config.model or with "
         "-m; it does not name an engine, so model is used"),
        (('arch: "resnet:18"', 'arch: "resnet:18" rpn_cls_activation_type: "softmax"'),
         'rpn_cls_activation_type: found "softmax"; ignored, sigmoid is always used'),
        (('arch: "resnet:18"', 'arch: "resnet:18" tf_proposal_layer: true'),
         "model_config.tf_proposal_layer: found true; ignored, accepted for old specs"),
    ],
)  # fmt: skip
def test_what_is_hardly_meant_is_accepted_with_a_warning(change, remark, caplog):
    (message,) = remarks(changed(GUIDE, change), caplog)
    assert message.startswith("spec.txt: ")
    assert remark in message


def test_short_sides_that_differ_are_remarked(caplog):
    (message,) = remarks(changed(DYNAMIC, ("output_image_min: 384", "output_image_min: 400")), caplog)
    assert "found 400; the model's size_min 384 is used" in message


@pytest.mark.parametrize("degrees", [0, 1, 5, 10, 45, 90, 180])
def test_a_usual_rotation_gives_no_remark(degrees, caplog):
    text = changed(GUIDE, ("zoom_min: 1.0", f"rotate_rad_max: {degrees} zoom_min: 1.0"))
    assert remarks(text, caplog) == []


def test_three_channels_beside_gray_images_are_read_as_one(caplog):
    text = changed(
        GUIDE,
        ("image_channel_order: 'bgr'", "image_channel_order: 'l' image_type: GRAY_SCALE"),
        ("key: 'b'", "key: 'l'"),
    )
    (message,) = remarks(text, caplog)
    assert "output_image_channel: found 3 with image_type GRAY_SCALE; it is read as 1" in message
    assert parse_experiment(text).spec.augmentation_config.preprocessing.output_image_channel == 1


def test_equal_annealing_points_are_accepted(caplog):
    spec = parse_experiment(changed(GUIDE, ("annealing_points: 0.9", "annealing_points: 0.8"))).spec
    assert spec.training_config.learning_rate.soft_start.annealing_points == (0.8, 0.8)


def test_the_samples_give_no_remarks(caplog):
    assert [remarks(text, caplog) for text in (GUIDE, MINIMAL, REFERENCE, DYNAMIC)] == [[]] * 4


# ---- constraints


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("(0, 1)", [0.001, 0.999], [0, 1, -1, float("nan")]),
        ("[0, 1]", [0, 1], [-0.001, 1.001, float("inf")]),
        ("(0, 1]", [1], [0]),
        ("[0, 100)", [0, 99.9], [100]),
        ("> 0", [1e-9], [0]),
        (">= 1", [1, 2**32], [0]),
    ],
)
def test_ranges_hold_what_they_say(text, inside, outside):
    limits = constraints.Range(text)
    assert [limits.fault(value) for value in inside] == [None] * len(inside)
    assert all("expected a number" in (limits.fault(value) or "") for value in outside)


def test_a_range_that_cannot_be_read_is_our_own_fault():
    with pytest.raises(ValueError, match=r"not an interval: 0\.\.1"):
        constraints.Range("0..1").fault(1)


def test_nothing_is_suggested_that_is_far_off():
    assert constraints.did_you_mean("xyzzy", ["resnet:10", "vgg:16"]) == ""
    assert constraints.did_you_mean("ResNet:10", ["resnet:10", "vgg:16"]) == "; did you mean 'resnet:10'?"
