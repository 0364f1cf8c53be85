"""Specs pasted into a text field of one line, which drops line breaks."""

import re
import time
from pathlib import Path

import pytest

from frcnn.errors import FrcnnError, UsageError
from frcnn.spec import experiment_pb2
from frcnn.spec.load import parse_experiment
from frcnn.spec.one_line import as_line, lost_comment, with_blanks
from frcnn.steps.specs import dataset_export_given, experiment_given

SPECS = Path(__file__).parents[3] / "examples" / "specs"
KITTI = (SPECS / "kitti_resnet18.txt").read_text()
CONVERT = (SPECS / "kitti_convert.txt").read_text()


def without_comments(text):
    return "\n".join(line for line in re.sub(r"#.*", "", text).splitlines() if line.strip())


def pasted(text):
    return text.replace("\n", "")


@pytest.mark.parametrize("unindented", [False, True])
@pytest.mark.parametrize("path", sorted(SPECS.glob("*.txt")), ids=lambda path: path.stem)
def test_every_example_without_comments_means_the_same_when_pasted(path, unindented):
    text = without_comments(path.read_text())
    if unindented:
        text = "\n".join(line.strip() for line in text.splitlines())
    given = dataset_export_given if "_convert" in path.stem or "convert" in path.stem else experiment_given
    as_file, as_line = given(text + "\n"), given(pasted(text))
    for each in (as_file, as_line):
        object.__setattr__(each, "text", "")
        object.__setattr__(each, "source", "")
    assert as_line == as_file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('random_seed: 42enc_key: ""model_config {', 'random_seed: 42 enc_key: ""model_config {'),
        ("verbose: Truemodel_config {", "verbose: True model_config {"),
        ("model_config { all_projections: truearch: ", "model_config { all_projections: true arch: "),
        (
            "model_config { input_image_config { image_type: RGBimage_scaling_factor: 1size_min {",
            "model_config { input_image_config { image_type: RGB image_scaling_factor: 1 size_min {",
        ),
        (
            "training_config { num_epochs: 1e1batch_size_per_gpu : 2",
            "training_config { num_epochs: 1e1 batch_size_per_gpu : 2",
        ),
        ('enc_key: "42enc_key: 1"', 'enc_key: "42enc_key: 1"'),
        ("nobody_knows: 42enc_key: 1", "nobody_knows: 42enc_key: 1"),
        ("random_seed: 42\nenc_key: 1", "random_seed: 42\nenc_key: 1"),
    ],
)
def test_a_value_and_the_next_name_are_told_apart_by_the_fields_there_are(text, expected):
    assert with_blanks(text, experiment_pb2.Experiment()) == expected


@pytest.mark.parametrize("given", [experiment_given, dataset_export_given])
def test_a_pasted_comment_is_refused_since_its_end_is_lost(given):
    text = KITTI if given is experiment_given else CONVERT
    with pytest.raises(UsageError, match=r"one line with a comment .*frcnn pipeline push-spec FILE"):
        given(pasted(text))


def test_a_commented_out_setting_does_not_come_alive_and_nothing_after_it_dies_unnoticed():
    text = without_comments(KITTI).replace("\n", " ") + " # training_config { num_epochs: 1 }"
    with pytest.raises(UsageError, match="one line with a comment"):
        experiment_given(text)


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("random_seed: 42 # the answer", False),
        ('enc_key: "# no comment: {"', False),
        ("random_seed: 42 # the answer enc_key: 1", True),
        ("# a\nrandom_seed: 42", False),
        ("# a\r\nrandom_seed: 42", False),
    ],
)
def test_only_comments_that_swallow_settings_are_lost(text, lost):
    assert lost_comment(text) is lost


@pytest.mark.parametrize("text", [KITTI, CONVERT])
def test_a_spec_is_written_as_one_line_that_means_the_same(text):
    line = as_line(text.replace('"bgr"', '"bgr"  # blue first'))
    assert "#" not in line and "\n" not in line
    assert with_blanks(line, experiment_pb2.Experiment()) == line
    given = experiment_given if text is KITTI else dataset_export_given
    given(line)


def test_a_long_line_takes_time_in_proportion():
    text = pasted(without_comments(KITTI)) + "augmentation_config { }" * 4000 + "x" * 100_000
    began = time.process_time()
    with_blanks(text, experiment_pb2.Experiment())
    lost_comment(text)
    assert time.process_time() - began < 5


def test_faults_of_a_pasted_spec_are_told_as_those_of_any_other():
    text = pasted(without_comments(KITTI)).replace("num_epochs", "num_epochz")
    with pytest.raises(FrcnnError, match="did you mean 'num_epochs'"):
        experiment_given(text)
    assert parse_experiment(without_comments(KITTI)).spec.random_seed == 42
