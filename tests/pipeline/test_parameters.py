"""Flags of a run are the parameters of the pipeline."""

import argparse

import pytest

from frcnn.errors import UsageError
from pipelines import parameters
from pipelines.faster_rcnn import faster_rcnn


def parsed(*words):
    flags = argparse.ArgumentParser()
    parameters.add_flags(flags)
    return flags.parse_args(words)


def test_names_and_defaults_are_the_pipelines():
    inputs = faster_rcnn.component_spec.inputs
    for each in parameters.EVERYWHERE:
        assert inputs[each.name].default == each.default, each.name


def test_values_come_with_their_types():
    given = parameters.given(parsed("--epochs", "3", "--target_params", "0.5", "--export_precision", "int8"))
    assert (given["epochs"], given["target_params"], given["export_precision"]) == (3, 0.5, "int8")
    assert given["minimum_map"] == 0.3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epochs", "-1"], "--epochs -1: expected 1 or more"),
        (["--minimum_map", "50"], "minimum mAP 50: expected a number from 0 to 1"),
        (["--tolerance", "-1"], "tolerance -1: expected 0 or more"),
        (["--target_params", "15"], "--target_params 15: expected 0 <= fraction < 1"),
        (["--train_precision", "fp16"], "--train_precision fp16: expected one of fp32, mixed"),
        (["--export_precision", "fp8"], "--export_precision fp8: expected one of fp32, fp16, int8"),
    ],
)
def test_values_that_cannot_be_right_are_named(words, message):
    with pytest.raises(UsageError, match=message):
        parameters.given(parsed(*words))
