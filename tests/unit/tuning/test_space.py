"""The search space: what a file says, what is wrong with it and where, and the default around a spec."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frcnn.errors import SpecError, UsageError
from frcnn.spec import load_experiment
from frcnn.spec.load import parse_experiment
from frcnn.tuning.default_space import default_space
from frcnn.tuning.distributions import base_choices
from frcnn.tuning.settings import TuneSettings
from frcnn.tuning.space import Searched
from frcnn.tuning.space_file import load_space, parse_space
from frcnn.tuning.tuned_spec import TunedSpec
from tests.support.task_spec import write_spec

RATE = "training_config.learning_rate.step.base_lr"
SCALE = "model_config.anchor_box_config.scale"
ROIS = "model_config.roi_mini_batch"


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return TunedSpec(load_experiment(write_spec(tmp_path_factory.mktemp("spec") / "spec.txt")))


def problems(text, spec):
    with pytest.raises(SpecError) as found:
        parse_space(text, "space.txt", spec)
    return [str(each) for each in found.value.problems]


def test_a_space_is_read_with_the_kinds_of_its_fields(spec):
    text = f"""
    # what to vary
    search {{ field: "{RATE}" low: 1e-4 high: 0.1 log: true }}
    search {{ field: "{SCALE}" low: 0.7 high: 1.4 factor: true }}
    search {{ field: "{ROIS}" low: 8 high: 64 step: 8 }}
    search {{ field: "model_config.arch" value: "resnet:18" value: "vgg:16" }}
    search {{ field: "training_config.classifier_regr_std.x" low: 5 high: 20 }}
    """
    rate, scale, rois, arch, std = parse_space(text, "space.txt", spec).fields
    assert rate == Searched(RATE, low=1e-4, high=0.1, log=True)
    assert scale == Searched(SCALE, low=0.7, high=1.4, base=(32.0,), listed=True)
    assert rois == Searched(ROIS, low=8.0, high=64.0, step=8.0, whole=True)
    assert arch == Searched("model_config.arch", values=("resnet:18", "vgg:16"))
    assert (std.low, std.high, std.whole) == (5.0, 20.0, False)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            'field: "training_config.lerning_rate" low: 1 high: 2',
            "unknown field; did you mean 'learning_rate'",
        ),
        ('field: "roi_mini_batch" low: 1 high: 2', "did you mean 'model_config.roi_mini_batch'"),
        (f'field: "{RATE}.x" low: 1 high: 2', "a single value has no fields"),
        ('field: "training_config.learning_rate" low: 1 high: 2', "is a whole block"),
        (f'field: "{RATE}" low: 2 high: 1', "found low 2 and high 1; expected low < high"),
        (f'field: "{RATE}" low: 0 high: 1 log: true', "found low 0; expected low > 0 with log"),
        (f'field: "{RATE}" low: -1 high: 1', "-1.0: found -1; expected a number >= 0"),
        (f'field: "{RATE}" low: 1', "high is not set; expected low and high, or values"),
        (f'field: "{RATE}"', "low is not set"),
        (f'field: "{RATE}" low: nan high: 1', "found nan; expected a finite number"),
        (f'field: "{RATE}" value: "0.1" low: 1', "found both low and value"),
        (f'field: "{RATE}" value: "0.1" value: "fast"', "fast: found fast; expected a number"),
        (f'field: "{RATE}" value: "0.1" value: "0.1"', "the same value twice"),
        (f'field: "{RATE}" low: 0.1 high: 1 step: 2', "found 2; expected a step in (0, 0.9]"),
        (f'field: "{RATE}" low: 0.1 high: 1 step: 1e-30', "found 1e-30, too fine; expected 9e-07 or more"),
        (f'field: "{RATE}" low: 0.1 high: 1 step: 0.1 log: true', "found both step and log"),
        (f'field: "{ROIS}" low: 1.5 high: 4', "found low 1.5 and high 4; expected whole numbers"),
        (f'field: "{ROIS}" low: 0 high: 4', "0: found 0; expected a number > 0"),
        (f'field: "{SCALE}" low: 16 high: 64', "is a list; expected factor: true, or values"),
        (f'field: "{SCALE}" low: -1 high: 2 factor: true', "found -1; expected a factor above 0"),
        (
            'field: "augmentation_config.spatial_augmentation.hflip_probability" low: 1 high: 2 factor: true',
            "has no value above 0 in the experiment spec",
        ),
        ('field: "model_config.arch" low: 1 high: 2', "is not a number; expected values to choose from"),
        ('field: "model_config.arch" value: "resnet:19"', "resnet:19"),
        ('field: "enc_key" value: "a" value: "b"', "cannot be searched"),
        ('field: "dataset_config.validation_fold" low: 0 high: 1', "cannot be searched"),
        ('field: "training_config.num_epochs" low: 1 high: 9', "cannot be searched"),
        ("low: 1 high: 2", "no field; expected the path of a field"),
    ],
)
def test_each_fault_is_named_with_its_line(spec, entry, expected):
    text = f'search {{ field: "training_config.rpn_mini_batch" low: 32 high: 64 }}\n\nsearch {{ {entry} }}\n'
    (found,) = problems(text, spec)
    assert expected in found
    assert found.startswith("3:")
    assert "--set" not in found


def test_faults_of_the_text_itself_are_named_with_their_lines(spec):
    text = f'search {{ field: "{RATE}" lo: 1 high: 2 }}\nserch {{ field: "x" }}\n'
    found = problems(text, spec)
    assert [each.partition("  ")[0] for each in found] == [f"1:{text.index('lo:') + 1}", "2:1"]
    assert "lo: unknown field; did you mean 'low'?" in found[0]
    assert "serch: unknown field; did you mean 'search'?" in found[1]


def test_all_faults_are_named_at_once(spec):
    text = "".join(f'search {{ field: "{name}" low: 1 high: 2 }}\n' for name in ("a.b", RATE, RATE, "c.d"))
    found = problems(text, spec)
    assert [each.partition(":")[0] for each in found] == ["1", "3", "4"]
    assert "searched twice" in found[1]


@pytest.mark.parametrize(
    ("first", "second", "members"),
    [
        ("training_config.optimizer.adam.beta_1", "training_config.optimizer.sgd.momentum", "adam or sgd"),
        (
            "training_config.learning_rate.step.gamma",
            "training_config.learning_rate.soft_start.base_lr",
            "step or soft_start",
        ),
        (
            "model_config.input_image_config.size_height_width.height",
            "model_config.input_image_config.size_min.min",
            "size_height_width or size_min",
        ),
    ],
)
def test_fields_that_no_spec_has_together_are_not_searched_together(spec, first, second, members):
    entries = [f'search {{ field: "{name}" {{}} }}\n' for name in (first, second, second)]
    values = ("value: '0.1' value: '0.2'", "value: '0.3' value: '0.4'", "value: '0.5' value: '0.6'")
    text = "".join(entry.replace("{}", value) for entry, value in zip(entries, values, strict=True))
    found = [each for each in problems(text, spec) if "together" in each]
    assert [each.partition(":")[0] for each in found] == ["2"]
    assert f"{second}: cannot be searched together with {first}; a spec has either {members}" in found[0]


def test_fields_of_one_optimizer_are_searched_together(spec):
    names = ("beta_1", "beta_2", "epsilon")
    text = "".join(
        f'search {{ field: "training_config.optimizer.adam.{name}" low: 0.1 high: 0.2 }}\n' for name in names
    )
    assert len(parse_space(text, "space.txt", spec).fields) == len(names)


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_space_is_an_error(spec, text):
    assert "no field to search" in problems(text, spec)[0]


def test_a_file_that_is_missing_is_named(spec, tmp_path):
    (tmp_path / "space.txt").write_text("")
    with pytest.raises(SpecError, match=r"spece\.txt: 1 problem\n.*did you mean 'space\.txt'"):
        load_space(tmp_path / "spece.txt", spec)


def test_values_that_break_a_rule_between_fields_are_named(spec):
    field = "training_config.rpn_nms_max_boxes"
    (found,) = problems(f'search {{ field: "{field}" low: 100 high: 20000 }}', spec)
    assert "20000: found 20000 with rpn_pre_nms_top_N 12000" in found


@pytest.mark.parametrize(
    ("searched", "chosen", "expected"),
    [
        (Searched(RATE, low=1e-4, high=0.1), 0.012345678, f"{RATE}=0.012346"),
        (Searched(SCALE, low=0.5, high=2, base=(16.0, 64.0), listed=True), 1.25, f"{SCALE}=[20.0, 80.0]"),
        (Searched(ROIS, low=8, high=64, whole=True), 24, f"{ROIS}=24"),
        (Searched(ROIS, low=0.1, high=2, whole=True, base=(64,)), 0.51, f"{ROIS}=33"),
        (Searched(SCALE, values=("16, 32", "64")), "16, 32", f"{SCALE}=16, 32"),
    ],
)
def test_a_choice_becomes_a_setting(searched, chosen, expected):
    assert searched.setting(chosen) == expected


@given(
    low=st.floats(0.001, 1),
    high=st.floats(1.5, 100),
    log=st.booleans(),
    step=st.one_of(st.none(), st.just(0.25)),
)
def test_a_space_written_as_text_is_read_as_the_same_space(low, high, log, step):
    spec = _spec()
    text = f"low: {low!r} high: {high!r}" + (" log: true" if log else f" step: {step}" if step else "")
    space = parse_space(f'search {{ field: "{RATE}" {text} }}', "one", spec)
    assert parse_space(space.to_text(), "two", spec).fields == space.fields


def _spec():
    from tests.support.task_spec import TEXT

    return TunedSpec(parse_experiment(TEXT.format(records="", images="", evaluation="", inference="")).spec)


def test_choices_of_another_program_are_read_by_the_kinds_of_fields(spec):
    space = default_space(spec, ["vgg:16"])
    texts = [f"{RATE}=0.5000000001", f"{ROIS}=32", "model_config.arch=vgg:16", f"{SCALE}=1.4000001"]
    found = space.choices(texts)
    assert found == {RATE: 0.5000000001, ROIS: "32", "model_config.arch": "vgg:16", SCALE: 1.4000001}
    for wrong in ("model_config.use_bias=true", f"{ROIS}=33", f"{RATE}=9", f"{RATE}=nan", f"{RATE}=fast"):
        with pytest.raises(UsageError, match=r"expected|not in the search space"):
            space.choices([wrong])


EXAMPLES = ["bccd_resnet18.txt", "kitti_resnet18.txt", "synthetic_resnet10.txt", "grayscale_resnet18.txt"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_default_space_is_valid_and_holds_the_spec_itself(name, tmp_path):
    from pathlib import Path

    spec = TunedSpec(load_experiment(Path(__file__).parents[3] / "examples/specs" / name))
    space = default_space(spec)
    assert parse_space(space.to_text(), "default", spec).fields == space.fields
    settings = TuneSettings(spec, space, tmp_path, 1, None, 1, ("mAP",), "none", 0)
    chosen = base_choices(settings)
    assert set(chosen) == {each.field for each in space.fields}
    same = parse_experiment(spec.to_text(secrets=True), settings=space.settings(chosen), remarks=False).spec
    assert same == parse_experiment(spec.to_text(secrets=True), remarks=False).spec
    searched = {each.field.partition(".")[0] for each in space.fields}
    assert searched >= {"training_config", "model_config"}


def test_archs_join_the_default_space_beside_the_own_one(spec):
    (arch,) = [each for each in default_space(spec, ["vgg:16"]).fields if each.field == "model_config.arch"]
    assert arch.values == ("resnet:10", "vgg:16")
    with pytest.raises(UsageError, match=r"arch 'vgg:17': unknown; did you mean 'vgg:1"):
        default_space(spec, ["vgg:17"])
    pretrained = spec.with_settings(["training_config.pretrained_weights=weights.hdf5"])
    with pytest.raises(UsageError, match="its weights fit resnet:10 only"):
        default_space(pretrained, ["vgg:16"])


def test_whole_numbers_and_floats_keep_what_was_written(spec):
    space = parse_space(f'search {{ field: "{RATE}" low: 0.0007 high: 0.3 }}', "space", spec)
    assert (space.fields[0].low, space.fields[0].high) == (0.0007, 0.3)
    assert math.isclose(float(space.fields[0].setting(0.00071).partition("=")[2]), 0.00071)
