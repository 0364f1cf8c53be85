"""The reader takes what `text_format.Merge` takes, gives the same message, and knows every place."""

import string

import pytest
from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from frcnn.spec import experiment_pb2
from frcnn.spec.textproto.reader import read
from tests.unit.spec.samples import GUIDE, MINIMAL, REFERENCE, place_of


def merged(text):
    """Parses `text` with protobuf's own parser; returns None if it refuses."""
    message = experiment_pb2.Experiment()
    try:
        text_format.Merge(text, message)
    except text_format.ParseError:
        return None
    return message


def read_message(text):
    message = experiment_pb2.Experiment()
    return read(text, message), message


@pytest.mark.parametrize(
    "text",
    [
        GUIDE,
        MINIMAL,
        REFERENCE,
        "",
        "# nothing but a comment",
        "random_seed: 1 random_seed: 2",
        "random_seed: 0x1F",
        "random_seed: 017",
        "random_seed: 1,verbose: t;enc_key: 'a'",
        "verbose: True",
        "verbose: 1",
        "verbose: f",
        "enc_key: 'a' \"b\"\n  'c'",
        r"enc_key: 'tab \t quote \' hex \x41 octal \101 \u00e9'",
        "enc_key: 'ünïcode'",
        "model_config { } model_config: { } model_config < > model_config: <>",
        "model_config { arch: 'a' } model_config { freeze_bn: true }",
        "model_config { freeze_blocks: [0, 1.5, 2] freeze_blocks: 3 freeze_blocks: [] }",
        "model_config { anchor_box_config: { scale: [1, 2.f, 1e2, inf, -inf, nan, .5] } }",
        "model_config { input_image_config { image_type: 1 } }",
        "model_config { input_image_config { image_type: GRAY_SCALE image_type: RGB } }",
        "model_config { input_image_config { size_min { min: 3 } size_height_width { } } }",
        "model_config { input_image_config { image_channel_mean { key: 'r' value: 1 } "
        "image_channel_mean { value: 2 key: 'r' } image_channel_mean { } "
        "image_channel_mean: { key: 'g' } } }",
        "model_config { input_image_config { image_channel_mean: [{ key: 'r' }, < key: 'b' value: 1 >] } }",
        "dataset_config { data_sources: [{ source_weight: 1 }, {}] data_sources { } }",
        "dataset_config { validation_fold: 3 validation_data_source { } validation_fold: 0 }",
        "training_config { optimizer { adam { lr: 1 } sgd { } adam { } } }",
        "random_seed:\n  # why not\n  7",
        "random_seed : 7",
        "\ufeffrandom_seed: 7",
        "random_seed: 1e3",
        "random_seed: -1",
        "random_seed: 4294967295",
        "random_seed: 4294967296",
        "verbose: yes",
        "verbose { }",
        "model_config: 3",
        "enc_key: 'a",
        "enc_key: '\\xff'",
        "enc_key: bare",
        "unknown: 3",
        "model_config { arch: 'a'",
        "model_config { arch: 'a' >",
        "}",
        "random_seed 7",
        "1: 7",
        "[ext.ension]: 7",
        "random_seed: [1]",
        "model_config { freeze_blocks: [1 2] }",
        "model_config { freeze_blocks: [1, }",
        "random_seed: 1,, verbose: true",
        "Model_config { }",
        "]",
        "model_config { ] }",
        "model_config { freeze_blocks: ] }",
        "model_config { freeze_blocks: 1] }",
    ],
)
def test_agrees_with_protobuf(text):
    agrees(text)


def agrees(text):
    expected = merged(text)
    reader, message = read_message(text)
    assert (reader.problems == []) == (expected is not None), (text, reader.problems)
    if expected is not None:
        # Bytes, since a NaN is not equal to itself.
        assert message.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)


def test_a_number_that_names_no_enum_value_is_refused_though_protobuf_takes_it():
    reader, _ = read_message("model_config { input_image_config { image_type: 7 } }")
    assert [problem.message for problem in reader.problems] == ["found 7; expected one of RGB, GRAY_SCALE"]


# ---- random texts

_FIELDS = sorted(
    {f.name for m in experiment_pb2.DESCRIPTOR.message_types_by_name.values() for f in m.fields}
    | {"key", "value", "nonsense"}
)
_TOKENS = st.one_of(
    st.sampled_from(_FIELDS),
    st.sampled_from(list("{}<>[]:,;#-")),
    st.sampled_from(
        ["0", "1", "3.5", "-1", "1e-4", "nan", "true", "False", "RGB", "L2", "'a'", '"b\\n"', "'"]
    ),
    st.text(string.printable, max_size=4),
)


@given(tokens=st.lists(_TOKENS, max_size=12), joints=st.data())
@settings(max_examples=100)
def test_agrees_with_protobuf_on_any_tokens(tokens, joints):
    gaps = st.sampled_from([" ", "\n", "", " # c\n", "\t"])
    text = "".join(token + joints.draw(gaps) for token in tokens)
    agrees(text)


_SCALARS = {
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1).map(str),
    FieldDescriptor.TYPE_FLOAT: st.floats(width=32).map(repr) | st.integers(-9, 9).map(str),
    FieldDescriptor.TYPE_BOOL: st.sampled_from(["true", "false", "True", "False", "t", "f", "1", "0"]),
    FieldDescriptor.TYPE_STRING: st.sampled_from(["''", "'a' \"b\"", r"'\x41\n'", "'é { # }'"]),
    FieldDescriptor.TYPE_ENUM: st.sampled_from(["0", "1"]),
}


@st.composite
def right_texts(draw, descriptor=experiment_pb2.Experiment.DESCRIPTOR, most=5):
    """A text of fields of the message, in any of the ways that they may be written."""
    text = ""
    for field in draw(st.lists(st.sampled_from(list(descriptor.fields)), max_size=most)):
        nested = field.message_type is not None
        values = right_texts(field.message_type, 3).map("{{ {} }}".format) if nested else _SCALARS[field.type]
        if field.is_repeated and draw(st.booleans()):
            value = f"[{', '.join(draw(st.lists(values, max_size=3)))}]"
        else:
            value = draw(values)
        colon = draw(st.sampled_from([": ", ":\n", " : ", " "] if nested else [": ", ":\n", " : "]))
        text += field.name + colon + value + draw(st.sampled_from([" ", ",", ";", "\n", " # }\n"]))
    return text


@given(text=right_texts())
@settings(max_examples=40)
def test_agrees_with_protobuf_on_any_right_text(text):
    assert merged(text) is not None
    agrees(text)


@given(cut=st.integers(0, len(GUIDE)), removed=st.integers(0, 30))
@settings(max_examples=25)
def test_agrees_with_protobuf_on_damaged_specs(cut, removed):
    agrees(GUIDE[:cut] + GUIDE[cut + removed :])


# ---- places


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("random_seed", "random_seed: 42"),
        ("model_config", "model_config {"),
        ("model_config.input_image_config.size_height_width.width", "width: 1248"),
        ("model_config.freeze_blocks[1]", "freeze_blocks: 1"),
        ("model_config.anchor_box_config.scale[2]", "scale: 256.0"),
        ('model_config.input_image_config.image_channel_mean["g"]', "value: 116.779"),
        ('model_config.input_image_config.image_channel_mean["g"].key', "key: 'g'"),
        ("dataset_config.data_sources[0].image_directory_path", "image_directory_path"),
        ('dataset_config.target_class_mapping["van"].key', "key: 'van'"),
        ("training_config.optimizer.sgd.momentum", "momentum"),
    ],
)
def test_every_field_has_its_place(path, part):
    reader, _ = read_message(GUIDE)
    assert path in reader.positions
    assert tuple(reader.positions.nearest(path)) == place_of(GUIDE, part)


def test_the_last_occurrence_counts():
    reader, _ = read_message("random_seed: 1\n  random_seed: 2")
    assert tuple(reader.positions.nearest("random_seed")) == (2, 3)


def test_what_is_not_in_the_text_stands_at_the_block_around_it():
    reader, _ = read_message("\nmodel_config {\n  anchor_box_config { scale: 3 }\n}")
    positions = reader.positions
    assert tuple(positions.nearest("model_config.arch")) == (2, 1)
    assert tuple(positions.nearest("model_config.anchor_box_config.ratio[3]")) == (3, 3)
    assert positions.nearest("training_config.num_epochs") is None


def test_places_of_a_member_that_another_replaced_are_forgotten():
    text = "training_config { optimizer {\n adam { lr: 1 }\n sgd { }\n } }"
    reader, _ = read_message(text)
    assert "training_config.optimizer.adam.lr" not in reader.positions
    assert "training_config.optimizer.sgd" in reader.positions


def test_lists_go_on_where_a_second_block_of_the_same_message_stands():
    reader, _ = read_message("model_config { freeze_blocks: [1, 2] }\nmodel_config { freeze_blocks: 3 }")
    assert tuple(reader.positions.nearest("model_config.freeze_blocks[1]")) == (1, 35)
    assert tuple(reader.positions.nearest("model_config.freeze_blocks[2]")) == (2, 16)


def test_a_key_may_hold_dots_and_brackets():
    text = "dataset_config { target_class_mapping { key: 'a.b[0]' value: 'c' } }"
    reader, _ = read_message(text)
    path = 'dataset_config.target_class_mapping["a.b[0]"]'
    assert tuple(reader.positions.nearest(f"{path}.key")) == place_of(text, "key")
    assert reader.positions.nearest('dataset_config.target_class_mapping["x.y"]') == reader.positions.nearest(
        "dataset_config.target_class_mapping"
    )


@pytest.mark.parametrize(
    "text",
    ["enc_key: sesame random_seed: 1", 'enc_key "sesame"', "enc_key: 'sesame", 'enc_key: "sesame\\xff"',
     'training_config { visualizer { wandb_config { key: sesame } } }'],
)  # fmt: skip
def test_a_key_in_a_wrong_form_is_not_shown(text):
    """Messages go to logs, which more people read than the spec."""
    found = read(text, experiment_pb2.Experiment())
    assert found.problems
    assert "sesame" not in str(found.problems)
    assert "which is not shown here" in str(found.problems)
