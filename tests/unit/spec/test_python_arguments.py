"""Arguments of the wrong type in Python end in a `SpecError`, and NumPy's values are those of the text."""

from pathlib import Path

import numpy as np
import pytest

import frcnn
from frcnn.errors import SpecError, UsageError
from tests.unit.spec.samples import MINIMAL
from tests.unit.spec.test_python_specs import build


@pytest.mark.parametrize("size", ["384x1248", 384, None, (384,), (384, 1248, 3)])
def test_an_input_size_that_is_no_pair_is_named(size):
    with pytest.raises(SpecError, match=r"size_height_width: found .*; expected height and width in pixels"):
        build(size_height_width=size)


@pytest.mark.parametrize("mapping", [["car"], "car", None, 3])
def test_a_class_mapping_that_is_no_mapping_is_named(mapping):
    with pytest.raises(SpecError, match=r"target_class_mapping: found .*; expected a mapping"):
        build(target_class_mapping=mapping)


@pytest.mark.parametrize("path", [["a", "b"], None, 3, b"records/*"])
def test_records_that_are_no_path_are_named(path):
    with pytest.raises(SpecError, match=r"tfrecords_path: found .*; expected text"):
        build(tfrecords_path=path)


@pytest.mark.parametrize("values", [None, ["random_seed"], {1: 2}])
def test_changes_that_are_no_mapping_are_named(values):
    with pytest.raises(SpecError, match="expected a mapping from the paths of fields to their values"):
        build().updated(values)


@pytest.mark.parametrize("text", [None, MINIMAL.encode(), Path("spec.txt")])
def test_a_text_of_a_wrong_type_is_named(text):
    with pytest.raises(SpecError, match=r"found an object of type .*; expected text"):
        frcnn.Spec.parse(text)


@pytest.mark.parametrize("path", [None, 3, b"spec.txt"])
def test_a_file_name_of_a_wrong_type_is_named(path):
    with pytest.raises(SpecError, match=r"found an object of type .*; expected a file name"):
        frcnn.Spec.load(path)


def test_a_null_character_in_a_path_is_named():
    with pytest.raises(SpecError, match="cannot be read: embedded null byte"):
        frcnn.Spec.load("spec\0.txt")
    with pytest.raises(UsageError, match=r"data 'a\\x00b': a path cannot contain a null character"):
        frcnn.data_report("a\0b")


def test_a_null_character_in_a_text_of_a_spec_is_named():
    with pytest.raises(SpecError, match=r"tfrecords_path: found a null character; control"):
        build(tfrecords_path="records/\0*")


def test_a_text_may_begin_with_a_byte_order_mark():
    assert frcnn.Spec.parse("\ufeff" + MINIMAL) == frcnn.Spec.parse(MINIMAL)


def test_arrays_and_scalars_of_numpy_are_lists_and_numbers():
    spec = build(size_height_width=np.array([384, 1248])).updated(
        {
            "model_config.freeze_blocks": np.array([0, 1]),
            "model_config.freeze_bn": np.bool_(True),
            "model_config.anchor_box_config.scale": np.array([32.0, 48.5], np.float32),
            "model_config.anchor_box_config.ratio": [np.float32(0.1), np.int64(1)],
        }
    )
    assert spec.model_config.freeze_blocks == (0, 1)
    assert spec.model_config.freeze_bn is True
    assert spec.model_config.anchor_box_config.scale == (32.0, 48.5)
    assert spec.model_config.anchor_box_config.ratio == (0.1, 1.0)
    assert frcnn.Spec.parse(spec.to_text()) == spec


def test_numbers_beyond_the_range_of_the_text_are_refused_or_zero():
    path = "training_config.learning_rate.soft_start.base_lr"
    with pytest.raises(SpecError, match=r"base_lr: found 1e\+40; expected a number up to 3.4e\+38"):
        build().updated({path: 1e40})
    spec = build().updated({path: 1e-50})
    assert spec.training_config.learning_rate.soft_start.base_lr == 0.0
    assert frcnn.Spec.parse(spec.to_text()) == spec
