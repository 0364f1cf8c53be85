"""Configurations of strangers: what is built, and what is refused before Keras sees it."""

import json
import zipfile

import keras
import pytest

from frcnn.errors import ModelError
from frcnn.model.build import build
from frcnn.model.files.checkpoint import load_model, save_model
from frcnn.model.files.config_guard import sanitize_config
from frcnn.model.files.training_record import TrainingRecord
from frcnn.settings.model import model_settings
from tests.support.toy_training import toy_spec

LAMBDA = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "x"}, "registered_name": None}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guard")
    keras.utils.set_random_seed(3)
    model = build(model_settings(toy_spec(folder)))
    save_model(model, folder / "model.keras", TrainingRecord("resnet:10", ("car", "person")))
    return folder / "model.keras"


def edited(archive, folder, edit):
    """The archive with another configuration."""
    path = folder / "edited.keras"
    with zipfile.ZipFile(archive) as before, zipfile.ZipFile(path, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name == "config.json":
                config = json.loads(content)
                edit(config)
                content = json.dumps(config).encode()
            after.writestr(name, content)
    return path


def first_layers(config):
    return config["config"]["features"]["config"]["layers"]


def first_convolution(config):
    return next(each for each in first_layers(config) if each["class_name"] == "Conv2D")


def set_class(config, **values):
    first_convolution(config).update(values)


@pytest.mark.parametrize(
    "values",
    [
        {"module": "keras.layers", "class_name": "Lambda", "registered_name": None},
        {"module": "os", "class_name": "system", "registered_name": "frcnn>system"},
        {"module": "builtins", "class_name": "eval", "registered_name": None},
        {"module": "keras.layers", "class_name": "StringLookup", "registered_name": None},
        {"module": "keras.config", "class_name": "enable_unsafe_deserialization", "registered_name": None},
        {"module": None, "class_name": "__lambda__", "registered_name": None},
        {"module": "keras.layers", "class_name": "ReLU", "registered_name": "other>ReLU"},
    ],
)
def test_a_class_that_no_detector_has_is_refused(archive, tmp_path, values):
    path = edited(archive, tmp_path, lambda config: set_class(config, **values))
    with pytest.raises(
        ModelError, match=rf"edited\.keras: .*names {values['module']}\.{values['class_name']}"
    ):
        load_model(path)


def test_what_compiling_wants_is_not_looked_at(archive, tmp_path):
    bad = {"optimizer": {"module": "os", "class_name": "system", "config": {}, "registered_name": None}}

    def edit(config):
        config["compile_config"] = bad
        config["config"]["features"]["compile_config"] = bad

    load_model(edited(archive, tmp_path, edit))


def test_a_model_larger_than_its_weights_is_refused_before_it_takes_the_memory(archive, tmp_path):
    def edit(config):
        first_convolution(config)["config"]["filters"] = 16_000_000

    path = edited(archive, tmp_path, edit)
    with pytest.raises(ModelError, match="larger model than its weights"):
        load_model(path)


def test_other_shapes_than_those_of_the_weights_are_refused(archive, tmp_path):
    def edit(config):
        first_convolution(config)["config"]["kernel_size"] = [5, 5]

    with pytest.raises(ModelError, match="do not match its layer"):
        load_model(edited(archive, tmp_path, edit))


@pytest.mark.parametrize("number", [1 << 40, -(1 << 40), float("nan"), float("inf")])
def test_numbers_out_of_proportion_are_refused(number):
    with pytest.raises(ModelError, match="which no detector needs"):
        sanitize_config({"config": {"batch_shape": [None, number]}})


def test_depth_is_bounded():
    node = []
    for _ in range(1000):
        node = [node]
    with pytest.raises(ModelError, match="nested more deeply"):
        sanitize_config(node)


def test_initializers_are_set_aside_and_come_back(archive):
    model, _ = load_model(archive)
    (layer,) = [each for each in model.features.layers if each.name == "conv1"]
    assert isinstance(layer.kernel_initializer, keras.initializers.VarianceScaling)
    node = {"config": {"name": "a", "kernel_initializer": LAMBDA}}
    with pytest.raises(ModelError, match="Lambda"):
        sanitize_config(node)
