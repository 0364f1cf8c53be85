"""Faults in the text: each is found, placed, explained, and does not hide the next one."""

import pytest

from frcnn.errors import SpecError
from frcnn.spec.load import load_experiment, parse_experiment
from tests.unit.spec.samples import DATA, GUIDE, MINIMAL, changed, place_of, problems_of

SEED = "random_seed: 42"


def only_problem(text):
    (problem,) = problems_of(text)
    return problem


def spec_error(path):
    with pytest.raises(SpecError) as raised:
        load_experiment(path)
    return raised.value


@pytest.mark.parametrize(
    ("old", "new", "marked", "path", "message"),
    [
        (
            "rpn_mini_batch: 256", "rpn_mini_btch: 256", "rpn_mini_btch",
            "training_config.rpn_mini_btch", "unknown field; did you mean 'rpn_mini_batch'?",
        ),
        (
            "freeze_bn: True", "num_epochs: 3", "num_epochs: 3",
            "model_config.num_epochs", "unknown field here; it belongs to training_config",
        ),
        (
            "use_voc07_11point_metric:", "use_voc_11_point_metric:", "use_voc_11_point_metric",
            "evaluation_config.use_voc_11_point_metric",
            "unknown field; did you mean 'use_voc07_11point_metric'?",
        ),
        (
            "pool_size: 7", "xyz: 7", "xyz",
            "model_config.roi_pooling_config.xyz",
            "unknown field; expected one of pool_size, pool_size_2x, positions_by_stride",
        ),
        (
            SEED, "random_seed: 'x'", "'x'",
            "random_seed", "found 'x'; expected a whole number, 0 or more",
        ),
        (
            SEED, 'random_seed: "7"', '"7"',
            "random_seed", 'found "7"; expected a whole number, 0 or more; write 7 without the quotes',
        ),
        (
            "num_epochs: 12", "num_epochs: 12.0", "12.0",
            "training_config.num_epochs",
            "found 12.0; expected a whole number, 0 or more; did you mean '12'?",
        ),
        (
            "num_epochs: 12", "num_epochs: -1", "-1",
            "training_config.num_epochs", "found -1; expected a whole number, 0 or more",
        ),
        (
            SEED, "random_seed: 99999999999", "99999999999",
            "random_seed", "found 99999999999; expected a whole number, 0 or more, and at most 4294967295",
        ),
        (
            "std_scaling: 1.0", "std_scaling: one", "one",
            "training_config.std_scaling", "found one; expected a number",
        ),
        (
            "verbose: True", "verbose: TRUE", "TRUE",
            "verbose", "found TRUE; expected true or false; did you mean 'true'?",
        ),
        (
            "image_type: RGB", "image_type: GRAYSCALE", "GRAYSCALE",
            "model_config.input_image_config.image_type",
            "found GRAYSCALE; expected one of RGB, GRAY_SCALE; did you mean 'GRAY_SCALE'?",
        ),
        (
            "type: L2", 'type: "L2"', '"L2"',
            "training_config.regularizer.type",
            'found "L2"; expected one of NO_REG, L1, L2; write L2 without the quotes',
        ),
        (
            'arch: "resnet:18"', "arch: resnet:18", "resnet:18",
            "model_config.arch", 'found resnet:18; expected text in quotes; write "resnet:18"',
        ),
        (
            'arch: "resnet:18"', 'arch: "resnet:18', '"resnet:18',
            "model_config.arch", 'found "resnet:18; expected " at the end',
        ),
        (
            "enc_key: 'nvidia_tlt'", r"enc_key: '\xff'", r"'\xff'",
            "enc_key", 'found a value in another form, which is not shown here; expected : "text in quotes"',
        ),
        (
            "pool_size: 7", "pool_size 7", "7\npool_size_2x",
            "model_config.roi_pooling_config.pool_size", "found 7; expected : after pool_size",
        ),
        (
            "pool_size: 7", "pool_size:", "pool_size:\n",
            "model_config.roi_pooling_config.pool_size", "no value; expected a whole number, 0 or more",
        ),
        (
            "pool_size: 7", "pool_size { }", "{ }",
            "model_config.roi_pooling_config.pool_size",
            "found a block; expected a whole number, 0 or more",
        ),
        (
            SEED, "random_seed: [1, 2]", "[1, 2]",
            "random_seed", "found a list; expected a whole number, 0 or more",
        ),
        (
            "freeze_blocks: 1", "freeze_blocks: [1 0]", "0]",
            "model_config.freeze_blocks", "found 0; expected , or ] in the list",
        ),
        (
            "type: L2", "type = L2", "= L2",
            "training_config.regularizer.type", "found =; expected : after type",
        ),
        (
            "model_config {", "model_config = {", "= {",
            "model_config", "found =; expected : after model_config",
        ),
        (
            "sgd {", "sgd", "lr: 0.02",
            "training_config.optimizer.sgd",
            "found lr; expected a block { ... } of lr or momentum or decay or nesterov",
        ),
        (
            "batch_size_per_gpu: 8", "batch_size: 8", "batch_size:",
            "training_config.batch_size", "unknown field; did you mean 'batch_size_per_gpu'?",
        ),
        (
            "type: L2", "type: L2\nfoo", "foo",
            "training_config.regularizer.foo", "unknown field; expected one of type, weight",
        ),
        (SEED, "random_seed: 42 }", "}", "", "found } without a matching opening bracket"),
        (SEED, "random_seed: 42 ??? what: 3", "???", "", "found ?; expected the name of a field"),
        (SEED, "random_seed: 42\n3 2 1\n", "3 2 1", "", "found 3; expected the name of a field"),
        (SEED, "random_seed: 42\n[a.b]: 3", "[a.b]", "", "found [; expected the name of a field"),
    ],
)  # fmt: skip
def test_fault_is_placed_and_explained(old, new, marked, path, message):
    text = changed(GUIDE, (old, new))
    problem = only_problem(text)
    assert (problem.path, problem.message) == (path, message)
    assert (problem.line, problem.column) == place_of(text, marked)


def test_a_block_that_is_not_closed_is_named_where_it_opens():
    text = MINIMAL.rstrip().removesuffix("}")
    problem = only_problem(text)
    assert (problem.path, problem.message) == ("dataset_config", "this block is not closed; expected }")
    assert (problem.line, problem.column) == place_of(text, "{\n  data_sources")


def test_sections_that_a_missing_bracket_puts_elsewhere_are_not_reported_as_missing():
    text = changed(MINIMAL, ("scale: 32 ratio: 1 }\n}", "scale: 32 ratio: 1 }"))
    assert [(p.path, p.message) for p in problems_of(text)] == [
        ("model_config", "this block is not closed; expected }"),
        ("model_config.training_config", "unknown field here; it belongs to the top level"),
        ("model_config.dataset_config", "unknown field here; it belongs to the top level"),
    ]


def test_brackets_of_two_kinds_do_not_close_each_other():
    text = changed(MINIMAL, ("scale: 32 ratio: 1 }", "scale: 32 ratio: 1 >"))
    problem = only_problem(text)
    assert problem.message == "found >; expected }"
    assert (problem.line, problem.column) == place_of(text, ">")


def test_value_instead_of_a_block():
    text = changed(MINIMAL, ("optimizer { sgd { } }", "optimizer: sgd"))
    problem = only_problem(text)
    assert (
        str(problem)
        == "15:14  training_config.optimizer: found sgd; expected a block { ... } of adam or sgd or rmsprop"
    )


def test_a_comma_in_a_number_makes_two_numbers():
    text = changed(GUIDE, ("rpn_min_overlap: 0.3", "rpn_min_overlap: 0,3"))
    assert [p.message for p in problems_of(text)] == [
        "found 0; expected a number in (0, 1)",
        "found 3; expected the name of a field",
    ]


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("training_config { optimizer }", "training_config.optimizer",
         "no value; expected a block { ... } of adam or sgd or rmsprop"),
        ("enc_key:\nrandom_seed: 1", "enc_key", "no value; expected text in quotes"),
        ("enc_key: }", "enc_key", "no value; expected text in quotes"),
        ("model_config { freeze_blocks: [1,", "model_config.freeze_blocks",
         "the list is not closed; expected ]"),
        ("model_config { freeze_blocks: [1 {a} [2]] }", "model_config.freeze_blocks",
         "found {; expected , or ] in the list"),
        ("model_config { freeze_blocks\n7 }", "model_config.freeze_blocks",
         "found 7; expected : after freeze_blocks"),
        ("random_seed", "random_seed", "found the end of the text; expected : after random_seed"),
        ("verbose: maybe", "verbose", "found maybe; expected true or false"),
        ('verbose: "perhaps"', "verbose", 'found "perhaps"; expected true or false'),
        ("dataset_config { target_class_mapping { value: 'x' } }",
         'dataset_config.target_class_mapping[""].key', "empty; expected a class name from the records"),
    ],
)  # fmt: skip
def test_fault_of_a_fragment_is_explained(text, path, message):
    found = [(problem.path, problem.message) for problem in problems_of(text)]
    assert (path, message) in found


def test_several_faults_come_at_once_in_order_of_the_text():
    error = spec_error(DATA / "five_faults.txt")
    assert [(problem.line, problem.path.rpartition(".")[2]) for problem in error.problems] == [
        (28, "arch"),
        (39, "freeze_blocks[1]"),
        (105, "num_epochs"),
        (107, "rpn_min_overlap"),
        (129, "rpn_mini_btch"),
    ]
    assert all(problem.column for problem in error.problems)
    assert error.exit_code == 2
    lines = str(error).splitlines()
    assert lines[0].endswith("five_faults.txt: 5 problems")
    assert "did you mean 'resnet:" in lines[1]
    assert lines[3].endswith("expected a whole number, 0 or more; did you mean '12'?")
    assert lines[5] == "  129:1  training_config.rpn_mini_btch: unknown field; did you mean 'rpn_mini_batch'?"


def test_a_misspelt_block_is_looked_into():
    text = changed(GUIDE, ("training_config {", "traning_config {"), ("num_epochs: 12", "num_epochs: 0"))
    assert [(p.path, p.message) for p in problems_of(text)] == [
        ("traning_config", "unknown field; did you mean 'training_config'?"),
        ("training_config.num_epochs", "found 0; expected a number >= 1"),
    ]


def test_a_misspelt_required_field_is_not_reported_as_missing_as_well():
    text = changed(MINIMAL, ("batch_size_per_gpu", "batch_size_per_gpus"))
    assert [p.message for p in problems_of(text)] == ["unknown field; did you mean 'batch_size_per_gpu'?"]


def test_a_value_that_cannot_be_read_has_no_consequences():
    text = changed(
        MINIMAL,
        ("batch_size_per_gpu: 4", "batch_size_per_gpu: four"),
        ('key: "r" value: 123.68', 'key: "r" value: x'),
    )
    assert [p.path for p in problems_of(text)] == [
        "model_config.input_image_config.image_channel_mean.value",
        "training_config.batch_size_per_gpu",
    ]


def test_what_is_missing_is_named_at_the_block_that_lacks_it():
    text = changed(MINIMAL, ('  arch: "resnet:10"\n', ""), ("  batch_size_per_gpu: 4\n", ""))
    problems = problems_of(text)
    assert [(p.path, p.line, p.column) for p in problems] == [
        ("model_config.arch", *place_of(text, "model_config {")),
        ("training_config.batch_size_per_gpu", *place_of(text, "training_config {")),
    ]
    assert problems[0].message.startswith("required, but not set; expected one of resnet:10, ")
    assert problems[1].message == "required, but not set; expected >= 1"


def test_missing_sections_have_no_place():
    problems = problems_of("")
    assert [(p.path, p.message, p.line, p.column) for p in problems] == [
        (name, "required, but not set", None, None)
        for name in ("model_config", "training_config", "dataset_config")
    ]


def test_faults_of_a_reader_and_of_rules_come_together():
    text = changed(
        MINIMAL,
        ('arch: "resnet:10"', 'arch: "resnet:10" freeze_blocks: 9'),
        ("base_lr: 0.02", "base_lr: 0.02 soft_start: 2"),
        ("batch_size_per_gpu: 4", "batch_size_per_gpu: 4 nonsense: 4"),
    )
    assert [p.path for p in problems_of(text)] == [
        "model_config.freeze_blocks[0]",
        "training_config.nonsense",
        "training_config.learning_rate.soft_start.soft_start",
    ]


def test_a_missing_file_is_a_spec_error_that_knows_the_nearest_name(tmp_path):
    (tmp_path / "kitti_resnet18.txt").write_text(MINIMAL)
    error = spec_error(tmp_path / "kiti_resnet18.txt")
    assert str(error).endswith(
        "1 problem\n  cannot be read: No such file or directory; did you mean 'kitti_resnet18.txt'?"
    )


def test_a_folder_is_no_spec_but_may_hold_one(tmp_path):
    expected = "expected the file of a spec (frcnn spec new writes one for a data set)"
    assert str(spec_error(tmp_path)).endswith(f"cannot be read: Is a directory; {expected}")
    (tmp_path / "experiment.txt").touch()
    expected = f"did you mean {tmp_path}/experiment.txt?"
    assert str(spec_error(tmp_path)).endswith(f"cannot be read: Is a directory; {expected}")


def test_a_file_that_is_not_text_is_a_spec_error_with_the_place(tmp_path):
    path = tmp_path / "model.tlt"
    path.write_bytes(b"random_seed: 1\nenc_key: '\xff\xfe'")
    (problem,) = spec_error(path).problems
    assert str(problem) == "2:11  not text in UTF-8"


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = tmp_path / "spec.txt"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert load_experiment(path).model_config.arch == "resnet:10"


@pytest.mark.parametrize("text", ["{" * 3000, "model_config {" * 2000, "x: [" * 2000, "a < " * 2000])
def test_deep_nesting_ends(text):
    with pytest.raises(SpecError):
        parse_experiment(text)
