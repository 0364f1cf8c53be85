"""Flags of a run are the parameters of the pipeline."""

import argparse

import pytest

from frcnn.errors import UsageError
from pipelines import parameters
from pipelines.faster_rcnn import faster_rcnn
from pipelines.remote.package import ALL


def parsed(*words, known=parameters.EVERYWHERE):
    flags = argparse.ArgumentParser()
    parameters.add_flags(flags, known)
    return flags.parse_args(words)


def test_names_and_defaults_are_the_pipelines():
    inputs = faster_rcnn.component_spec.inputs
    for each in parameters.EVERYWHERE:
        assert inputs[each.name].default == each.default, each.name


def test_values_come_with_their_types():
    given = parameters.given(parsed("--epochs", "3", "--target_params", "0.5", "--export_precision", "int8"))
    assert (given["epochs"], given["target_params"], given["export_precision"]) == (3, 0.5, "int8")
    assert (given["minimum_map"], given["apply_exif"]) == (0.3, False)
    assert parameters.given(parsed("--apply_exif"))["apply_exif"] is True


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epochs", "-1"], "--epochs -1: expected 1 or more"),
        (["--minimum_map", "50"], "minimum mAP 50: expected a number from 0 to 1"),
        (["--tolerance", "-1"], "tolerance -1: expected 0 or more"),
        (["--minimum_map", "nan"], "minimum mAP nan: expected a number from 0 to 1"),
        (["--prune_threshold", "-0.1"], "--prune_threshold -0.1: expected 0 or more"),
        (["--prune_threshold", "nan"], "--prune_threshold nan: expected 0 or more"),
        (["--publish_to", "gs://b/model"], "--publish_to gs://b/model: unsupported URI; expected s3://"),
        (["--webhook", "chat.example/x"], "--webhook: expected a URL that begins with http:// or https://"),
        (["--target_params", "15"], "--target_params 15: expected 0 <= fraction < 1"),
        (["--train_precision", "fp16"], "--train_precision fp16: expected one of fp32, mixed"),
        (["--export_precision", "fp8"], "--export_precision fp8: expected one of fp32, fp16, int8"),
    ],
)
def test_values_that_cannot_be_right_are_named(words, message):
    with pytest.raises(UsageError, match=message):
        parameters.given(parsed(*words))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gpus_per_worker", "4"], "--gpus_per_worker 4: only for several workers. .* --step_gpus 1"),
        (["--num_workers", "2", "--step_gpus", "1"], "--step_gpus 1: only for one worker"),
        (["--num_workers", "2"], "--num_workers 2 requires --checkpoints on S3"),
        (["--num_workers", "2", "--checkpoints", "/volume"], "--num_workers 2 requires --checkpoints on S3"),
        (["--num_workers", "2", "--min_workers", "3"], "--min_workers 3: expected at most the 2"),
        (["--checkpoints", "hdfs://b/c"], "--checkpoints hdfs://b/c: unsupported URI"),
        (["--step_gpus", "2"], "--step_gpus 2: expected 0 or 1"),
    ],
)
def test_workers_gpus_and_checkpoints_that_do_not_fit_together_are_named(words, message):
    with pytest.raises(UsageError, match=message):
        parameters.given(parsed(*words, known=ALL), ALL)


def test_places_are_those_that_were_meant():
    words = ["--publish_to", " s3://models/kitti\n", "--checkpoints", "minio://mlpipeline/kept/"]
    given = parameters.given(parsed(*words, known=ALL), ALL)
    assert (given["publish_to"], given["checkpoints"]) == ("s3://models/kitti", "s3://mlpipeline/kept")
