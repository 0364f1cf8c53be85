"""Specs built in Python: held to the same rules as text, converted to the same values."""

from pathlib import Path

import pytest

import frcnn
from frcnn.errors import SpecError
from frcnn.sealing.keys import resolve_key
from frcnn.spec.checked import checked_experiment
from frcnn.spec.load import parse_experiment
from frcnn.spec.schema.export import KITTIConfig
from frcnn.spec.schema.run import EvaluationConfig, GtMatchingIouThresholdRange
from frcnn.spec.schema.training import AdamOptimizerConfig, EarlyStopping, OptimizerConfig, SgdOptimizerConfig
from frcnn.spec.show import HIDDEN, effective_text
from tests.unit.spec.samples import GUIDE, MINIMAL


def build(**changes):
    values = {
        "arch": "resnet:18",
        "size_height_width": (384, 1248),
        "target_class_mapping": {"van": "car"},
        "tfrecords_path": "records/*",
    }
    return frcnn.Spec.build(**{**values, **changes})


@pytest.mark.parametrize("text", [GUIDE, MINIMAL], ids=["guide", "minimal"])
def test_a_spec_from_text_is_checked_already(text):
    spec = parse_experiment(text).spec
    assert checked_experiment(spec) == spec
    assert frcnn.Spec.parse(spec.to_text(secrets=True)) == spec


def test_a_built_spec_is_the_same_as_its_text():
    spec = build()
    assert frcnn.Spec.parse(spec.to_text()) == spec
    assert spec.class_names == ("car",)
    # Values that follow from others are there, as in a spec from text.
    preprocessing = spec.augmentation_config.preprocessing
    assert (preprocessing.output_image_width, preprocessing.output_image_channel) == (1248, 3)


def test_files_are_loaded_by_name(tmp_path):
    (tmp_path / "spec.txt").write_text(MINIMAL)
    assert frcnn.Spec.load(tmp_path / "spec.txt") == frcnn.Spec.parse(MINIMAL)
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        frcnn.Spec.load(tmp_path / "gone.txt")


def test_python_values_become_the_spec_s_own():
    spec = build(tfrecords_path=Path("records/*")).updated(
        {
            "model_config.anchor_box_config.scale": [32, 64],
            "dataset_config.target_class_mapping": {"Van": "car", "bus": "bus"},
            "training_config.regularizer.type": "L1",
            "training_config.batch_size_per_gpu": 0x10,
            "evaluation_config.batch_size": 0,
        }
    )
    assert spec.dataset_config.data_sources[0].tfrecords_path == "records/*"
    assert spec.model_config.anchor_box_config.scale == (32.0, 64.0)
    assert spec.dataset_config.target_class_mapping == {"van": "car", "bus": "bus"}
    assert spec.training_config.regularizer.type.name == "L1"
    assert spec.evaluation_config.batch_size == 1  # 0 means the default, as in text
    assert frcnn.Spec.parse(spec.to_text()) == spec
    assert hash(spec) == hash(frcnn.Spec.parse(spec.to_text()))


def test_numbers_are_those_that_the_text_would_hold():
    spec = build().updated({"training_config.rpn_min_overlap": 0.1 + 0.2})
    assert spec.training_config.rpn_min_overlap == 0.3


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("training_config.num_epochs", "12", "found '12' of type str; expected a whole number"),
        ("training_config.num_epochs", 1.5, "found 1.5 of type float; expected a whole number"),
        ("training_config.num_epochs", True, "found True of type bool; expected a whole number"),
        ("training_config.num_epochs", 0, "found 0; expected a number >= 1"),
        ("training_config.num_epochs", None, "found None; expected a whole number"),
        ("random_seed", -1, "found -1; expected a whole number from 0 to 4294967295"),
        ("model_config.freeze_bn", 1, "found 1 of type int; expected True or False"),
        ("model_config.arch", "resnet:19", 'found "resnet:19"; expected one of .*did you mean'),
        ("model_config.anchor_box_config.scale", 3.0, "found 3.0 of type float; expected a list"),
        ("model_config.anchor_box_config.scale", ["a"], "found 'a' of type str; expected a number"),
        ("dataset_config.target_class_mapping", ["car"], r"found \['car'\] of type list; expected a mapping"),
        ("dataset_config.target_class_mapping", {1: "car"}, "found the key 1 of type int; expected text"),
        ("training_config.regularizer.type", "L3", 'found "L3"; expected one of NO_REG, L1, L2'),
        ("training_config.optimizer", {"sgd": 1}, "of type dict; expected an object of type OptimizerConfig"),
        ("training_config.rpn_min_overlap", float("nan"), "found nan; expected"),
        ("training_config.rpn_min_overlap", 0.9, "expected rpn_min_overlap < rpn_max_overlap"),
        ("training_config.num_epoch", 3, "no such field 'num_epoch'; did you mean 'num_epochs'"),
        ("training_config.num_epochs.more", 3, "no such field 'more'"),
        ("dataset_config.data_sources[3].tfrecords_path", "x", "no entry 3; the list has 1"),
        ("not a path", 1, "invalid path; expected names with dots"),
        ("training_config.early_stopping.min_delta", 0.1, "is not set and also requires patience"),
    ],
)
def test_a_wrong_field_is_named_with_what_came_and_what_was_expected(path, value, message):
    with pytest.raises(SpecError, match=message) as caught:
        build().updated({path: value})
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].path.startswith(path.partition("[")[0])


def test_all_faults_of_an_object_are_named_at_once():
    with pytest.raises(SpecError) as caught:
        build().updated({"random_seed": -1, "model_config.arch": "vgg", "training_config.num_epochs": "x"})
    paths = [problem.path for problem in caught.value.problems]
    assert sorted(paths) == ["model_config.arch", "random_seed", "training_config.num_epochs"]


def test_an_unknown_path_does_not_hide_the_wrong_values():
    with pytest.raises(SpecError) as caught:
        build().updated({"training_config.num_epoch": 3, "model_config.arch": "resnet:19"})
    assert [problem.path for problem in caught.value.problems] == [
        "training_config.num_epoch",
        "model_config.arch",
    ]


def test_of_fields_that_exclude_each_other_the_named_one_stays():
    spec = build().updated({"training_config.optimizer.adam.lr": 1e-4})
    assert spec.training_config.optimizer.sgd is None
    assert spec.training_config.optimizer.adam.lr == 1e-4
    both = OptimizerConfig(adam=AdamOptimizerConfig(), sgd=SgdOptimizerConfig())
    with pytest.raises(SpecError, match="found adam and sgd; expected one of them"):
        build().updated({"training_config.optimizer": both})
    # A default does not count as set.
    config = EvaluationConfig(gt_matching_iou_threshold_range=GtMatchingIouThresholdRange(end=0.9))
    assert build().updated({"evaluation_config": config}).evaluation_config.gt_matching_iou_threshold is None


def test_the_input_size_can_be_changed():
    spec = build().updated({"model_config.input_image_config.size_height_width.width": 640})
    assert spec.augmentation_config.preprocessing.output_image_width == 640


def test_a_message_that_is_not_set_is_made():
    spec = build().updated({"training_config.early_stopping.patience": 3})
    assert spec.training_config.early_stopping == EarlyStopping(patience=3)
    spec = spec.updated({'dataset_config.target_class_mapping["bus"]': "bus"})
    assert spec.class_names == ("bus", "car")


def test_a_masked_key_is_no_key(caplog):
    secret = build().updated({"enc_key": "open sesame"})
    assert "open sesame" not in secret.to_text() and "open sesame" not in repr(secret)
    assert frcnn.Spec.parse(secret.to_text(secrets=True)).enc_key == "open sesame"
    masked = effective_text(secret)  # what a checkpoint holds
    assert HIDDEN in masked
    for spec in (frcnn.Spec.parse(masked, "spec.txt"), build().updated({"enc_key": HIDDEN})):
        assert spec.enc_key == ""
        assert not resolve_key(None, spec.enc_key)
    assert "enc_key: is masked, as in a copy of a spec; it is treated as not set" in caplog.text


def test_a_masked_key_of_weights_and_biases_is_no_key():
    text = MINIMAL + f'training_config {{ visualizer {{ wandb_config {{ key: "{HIDDEN}" }} }} }}'
    assert frcnn.Spec.parse(text).training_config.visualizer.wandb_config.key == ""


def test_conversion_specs_are_checked_too():
    kitti = KITTIConfig(root_directory_path=Path("kitti"), partition_mode="random", num_partitions=2)
    spec = frcnn.ConvertSpec(kitti_config=kitti).updated({"kitti_config.val_split": 20})
    assert spec.kitti_config.root_directory_path == "kitti" and spec.kitti_config.val_split == 20.0
    assert frcnn.ConvertSpec.parse(spec.to_text()) == spec
    with pytest.raises(SpecError, match='expected 2 in partition_mode "random"'):
        spec.updated({"kitti_config.num_partitions": 3})
    with pytest.raises(SpecError, match="no data set; expected one of kitti_config, coco_config"):
        frcnn.ConvertSpec().updated({})
