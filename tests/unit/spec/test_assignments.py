"""`--set`: single fields set beside a spec's text, with the text's own checks."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frcnn.errors import SpecError
from frcnn.spec.assignments import assignment
from frcnn.spec.load import parse_dataset_export, parse_experiment
from frcnn.spec.schema.data import SamplingMode
from frcnn.spec.show import render
from tests.unit.spec.samples import GUIDE


def spec_of(*settings, text=GUIDE):
    return parse_experiment(text, "spec.txt", settings=settings).spec


def fault_of(*settings, text=GUIDE):
    with pytest.raises(SpecError) as caught:
        parse_experiment(text, "spec.txt", settings=settings)
    return str(caught.value)


def test_scalars_of_every_kind_are_set():
    spec = spec_of(
        "training_config.num_epochs=5",
        "training_config.rpn_max_overlap=0.6",
        "training_config.enable_augmentation=false",
        "dataset_config.sampling_mode=UNIFORM",
        "inference_config.images_dir=/a folder/of images",
        "model_config.input_image_config.size_height_width.width=1248",
    )
    assert spec.training_config.num_epochs == 5
    assert spec.training_config.rpn_max_overlap == 0.6
    assert spec.training_config.enable_augmentation is False
    assert spec.dataset_config.sampling_mode is SamplingMode.UNIFORM
    assert spec.inference_config.images_dir == "/a folder/of images"


def test_the_last_setting_of_a_field_counts():
    assert spec_of("random_seed=1", "random_seed=2").random_seed == 2


@pytest.mark.parametrize("written", ["2,3", "[2, 3]", "[2,3]"])
def test_a_list_takes_the_place_of_the_one_in_the_text(written):
    assert spec_of(f"model_config.freeze_blocks={written}").model_config.freeze_blocks == (2, 3)


def test_a_list_of_one_and_lists_of_texts():
    spec = spec_of("model_config.freeze_blocks=3", "training_config.visualizer.wandb_config.tags=a b, c")
    assert spec.model_config.freeze_blocks == (3,)
    assert spec.training_config.visualizer.wandb_config.tags == ("a b", "c")


@pytest.mark.parametrize("name", ["[0]", ""])
def test_a_field_of_a_block_in_a_list(name):
    spec = spec_of(f"dataset_config.data_sources{name}.tfrecords_path=/records/*")
    (source,) = spec.dataset_config.data_sources
    assert source.tfrecords_path == "/records/*"
    assert source.image_directory_path == "/workspace/tao-experiments/data/training"  # as in the text


def test_a_block_behind_the_last_one_is_new():
    spec = spec_of("dataset_config.data_sources[1].tfrecords_path=/more/*")
    assert [source.tfrecords_path for source in spec.dataset_config.data_sources][1:] == ["/more/*"]


@pytest.mark.parametrize("name", [".traffic light", "[traffic light]"])
def test_an_entry_of_a_map(name):
    spec = spec_of(
        f"dataset_config.target_class_mapping{name}=light", "dataset_config.target_class_mapping.van=van"
    )
    mapping = spec.dataset_config.target_class_mapping
    assert (mapping["traffic light"], mapping["van"], mapping["car"]) == ("light", "van", "car")


def test_of_fields_that_exclude_each_other_the_one_that_is_set_counts():
    spec = spec_of("training_config.optimizer.adam.beta_1=0.8")
    assert spec.training_config.optimizer.sgd is None
    assert spec.training_config.optimizer.adam.beta_1 == 0.8
    assert (
        spec_of("dataset_config.validation_data_source.tfrecords_path=/v").dataset_config.validation_fold
        is None
    )


def test_a_block_is_written_as_in_a_text():
    spec = spec_of("training_config.optimizer={ adam { beta_2: 0.99 } }")
    assert spec.training_config.optimizer.adam.beta_2 == 0.99


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("num_epochs=5", "unknown field; did you mean 'training_config.num_epochs'?"),
        ("training_config.num_epoch=5", "unknown field; did you mean 'num_epochs'?"),
        ("trainingconfig.num_epochs=5", "unknown field; did you mean 'training_config'?"),
        ("training_config.batch_size=4", "unknown field; did you mean 'batch_size_per_gpu'?"),
        (
            "batch_size=4",
            "unknown field; did you mean 'inference_config.batch_size' or 'evaluation_config.batch_size' or "
            "'training_config.batch_size_per_gpu'?",
        ),
        ("epochs=4", "unknown field; did you mean 'training_config.num_epochs'?"),
        (
            "lr=0.001",
            "unknown field; did you mean 'training_config.learning_rate.soft_start.base_lr' or "
            "'training_config.learning_rate.step.base_lr'?",
        ),
        (
            "training_config.lr=0.001",
            "unknown field; did you mean 'training_config.learning_rate.soft_start.base_lr' or ",
        ),
        (
            "size_height_width=320",
            "unknown field; did you mean 'model_config.input_image_config.size_height_width'?",
        ),
        (
            "training_config.learning_rate=0.001",
            "found 0.001; expected a block { ... } of soft_start or step",
        ),
        ("training_config.num_epochs=five", "found five; expected a whole number, 0 or more"),
        ("training_config.num_epochs=5.0", "did you mean '5'?"),
        ("training_config.num_epochs=", "no value; expected a whole number"),
        ("training_config.num_epochs", "expected FIELD=VALUE, such as training_config.num_epochs=5"),
        ("training_config.num_epochs=5 batch_size_per_gpu: 3", "expected one value"),
        ("training_config.num_epochs.x=5", "num_epochs has no fields"),
        ("training_config=5", "found 5; expected a block { ... }"),
        ("dataset_config.data_sources[0]=5", "this is a whole block; expected one of its fields"),
        ("training_config..num_epochs=5", "found .num_epochs; expected the name of a field"),
        ("training_config.num_epochs.=5", "found nothing after the last dot; expected the name of a field"),
        ("dataset_config.data_sources[7].tfrecords_path=x", "expected a number from 0 to 1 in []"),
        ("dataset_config.data_sources[x].tfrecords_path=x", "expected a number from 0 to 1 in []"),
        ("dataset_config.target_class_mapping=x", "expected target_class_mapping.KEY=VALUE"),
        ("dataset_config.sampling_mode=UNIFOM", "did you mean 'UNIFORM'?"),
        ("training_config.num_epochs=0", "training_config.num_epochs: found 0; expected a number >= 1"),
        ("model_config.arch=resnet:19", 'model_config.arch: found "resnet:19"'),
    ],
)
def test_what_cannot_be_set_is_said_with_the_setting_and_no_place_in_the_text(setting, told):
    message = fault_of(setting)
    assert "spec.txt: 1 problem\n" in message
    assert told in message
    assert message.endswith(f"(--set {setting})")
    assert not message.splitlines()[1].strip()[0].isdigit()


@pytest.mark.parametrize(
    "setting",
    [
        *("enc_key=secret", " enc_key = secret", "enc_key[0]=secret", "enc_key.x=secret", "enc_keyy=secret"),
        *("ENC_KEY=secret", '"enc_key"=secret', "enc_key:secret", "enc_key: secret=1", "enckey=secret"),
        *('random_seed=1 enc_key: "secret"', 'training_config={enc_key: "secret"}'),
        "training_config.visualizer.wandb_config.key=secret",
        "training_config.visualizer.wandb_config.key[0]=secret",
        "training_config.visualizer.wandb_config[0].key=secret",
        'training_config.visualizer.wandb_config={key: "secret"}',
        'training_config.visualizer={wandb_config {project: "p" key: "secret"}}',
    ],
)
def test_keys_are_refused_and_not_repeated(setting):
    message = fault_of(setting)
    assert "keys must not be given on the command line" in message
    assert "secret" not in message


def test_names_with_key_in_them_are_no_keys():
    spec = spec_of(
        "dataset_config.target_class_mapping.monkey=enc_key", "inference_config.images_dir=/enc_key/"
    )
    assert spec.dataset_config.target_class_mapping["monkey"] == "enc_key"
    assert spec.inference_config.images_dir == "/enc_key/"


@pytest.mark.parametrize("field", ["model_config.arch", "dataset_config.target_class_mapping.van"])
def test_bytes_that_are_not_utf8_are_refused_in_words(field):
    assert "found bytes that are not UTF-8" in fault_of(f"{field}=caf\udce9")
    assert "found bytes that are not UTF-8" in fault_of("dataset_config.target_class_mapping.caf\udce9=a")


def test_an_index_of_any_length_is_refused_in_words():
    assert "expected a number from 0 to 1" in fault_of(
        f"dataset_config.data_sources[{'9' * 5000}].tfrecords_path=x"
    )


def test_long_lists_take_time_in_proportion_to_their_length():
    """120 kB, which a command line can hold; once 100,000 values took more than ten minutes."""
    began = time.process_time()
    spec = spec_of(f"model_config.freeze_blocks={','.join(['2'] * 60000)}", "model_config.freeze_blocks=3")
    assert spec.model_config.freeze_blocks == (3,)
    assert time.process_time() - began < 60


def test_a_fault_of_the_text_keeps_its_place():
    text = GUIDE.replace("rpn_mini_batch", "rpn_mini_btch")
    message = fault_of("training_config.num_epochs=0", text=text)
    assert "2 problems" in message
    assert "did you mean 'rpn_mini_batch'?" in message and "(--set training_config.num_epochs=0)" in message


def test_a_setting_mends_a_fault_of_the_text():
    text = GUIDE.replace("num_epochs: 12", "num_epochs: 0")
    assert spec_of("training_config.num_epochs=3", text=text).training_config.num_epochs == 3


def test_what_is_set_is_shown_as_such():
    loaded = parse_experiment(GUIDE, settings=["training_config.num_epochs=5", "random_seed=3"])
    lines = render(loaded.spec, loaded.positions).splitlines()
    assert "random_seed: 3  # --set" in lines
    assert "  num_epochs: 5  # --set" in lines
    assert "verbose: true" in [line.lower() for line in lines]


def test_a_block_that_is_set_leaves_its_other_fields_as_they_stand():
    setting = "training_config.optimizer={ sgd { momentum: 0.5 } }"
    loaded = parse_experiment(GUIDE, settings=[setting])
    assert loaded.spec.training_config.optimizer.sgd.lr == 0.02  # of the text
    lines = [line.strip() for line in render(loaded.spec, loaded.positions).splitlines()]
    at = lines.index("sgd {")
    assert lines[at + 1 : at + 3] == ["lr: 0.02", "momentum: 0.5  # --set"]


def test_the_text_that_is_handed_on_says_what_is_set():
    spec = spec_of("model_config.freeze_blocks=2", "training_config.num_epochs=5")
    again = parse_experiment(spec.text).spec
    assert again == spec


def test_a_spec_of_a_data_set_takes_settings_too():
    text = 'kitti_config { root_directory_path: "d" num_partitions: 2 val_split: 20 }'
    spec = parse_dataset_export(text, settings=["kitti_config.val_split=10"]).spec
    assert spec.kitti_config.val_split == 10.0
    with pytest.raises(SpecError, match=r"expected FIELD=VALUE, such as kitti_config.num_partitions=2 "):
        parse_dataset_export(text, settings=["kitti_config.val_split"])


# No field may contain a null character; see test_python_arguments.py.
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_can_be_set_from_a_program(value):
    assert spec_of(assignment("inference_config.images_dir", value)).inference_config.images_dir == value


@given(st.text(st.characters(), max_size=40))
def test_whatever_is_given_is_set_or_refused_in_words(setting):
    try:
        spec_of(setting)
    except SpecError as error:
        assert error.problems
