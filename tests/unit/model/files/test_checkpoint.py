"""Model files: what comes back, and what is refused."""

import dataclasses
import zipfile

import keras
import numpy as np
import pytest

from frcnn.errors import ModelError
from frcnn.model.build import build
from frcnn.model.files.checkpoint import load_model, save_model
from frcnn.model.files.trained_detector import load_detector
from frcnn.model.files.training_record import TrainingRecord, trained_epochs
from frcnn.settings.model import expected_model, model_settings
from frcnn.training.pretrained.load import read_source
from tests.support.toy_training import toy_spec

RECORD = TrainingRecord(
    "resnet:10", ("car", "person"), epoch=3, step=12, spec_text="x", metrics={"loss": 0.5}
)


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return toy_spec(tmp_path_factory.mktemp("spec"))


@pytest.fixture(scope="module")
def model(spec):
    keras.utils.set_random_seed(3)
    return build(model_settings(spec))


@pytest.mark.parametrize(("name", "key"), [("a.keras", ""), ("a.tlt", "secret"), ("a.tlt", "")])
def test_a_model_comes_back_as_it_was(model, tmp_path, name, key):
    save_model(model, tmp_path / name, RECORD, key)
    again, record = load_model(tmp_path / name, key)
    assert record == RECORD
    assert trained_epochs(tmp_path / name, key) == 3
    assert again.geometry == model.geometry
    for new, old in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_loaded_detector_answers_like_the_saved_one(model, spec, tmp_path):
    save_model(model, tmp_path / "a.keras", RECORD)
    images = np.random.default_rng(0).normal(0, 50, (2, 128, 160, 3)).astype(np.float32)
    loaded = load_detector(tmp_path / "a.keras", expected_model(spec))(images)
    settings = load_detector(tmp_path / "a.keras", expected_model(spec)).settings
    detections, proposals = model.detect(images, settings)
    np.testing.assert_array_equal(loaded.count, detections.count)
    np.testing.assert_allclose(loaded.boxes, detections.boxes, atol=0.01)
    np.testing.assert_allclose(loaded.scores, detections.scores, atol=1e-5)
    np.testing.assert_allclose(loaded.rois, proposals.boxes, atol=0.01)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nothing\.keras: no such model file"):
        load_model(tmp_path / "nothing.keras")


def test_an_exported_model_is_answered_with_what_to_give(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08\x12\x05frcnn")
    with pytest.raises(ModelError, match=r"model\.onnx: is an exported model; give the trained one$"):
        load_model(tmp_path / "model.onnx")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"plain text"])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    (tmp_path / "bad.keras").write_bytes(content)
    with pytest.raises(
        ModelError, match=r"bad\.keras: not a .* by this program: it is damaged or in another format$"
    ):
        load_model(tmp_path / "bad.keras")


def test_a_file_without_a_training_record_has_no_number_of_epochs(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"no model")
    assert trained_epochs(tmp_path / "a.onnx") is None
    assert trained_epochs(tmp_path / "gone.keras") is None


def test_a_foreign_keras_model_is_refused(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    with pytest.raises(ModelError, match=r"other\.keras: not a detector .*: a part is missing that"):
        load_model(tmp_path / "other.keras")


def test_a_model_whose_weights_are_cut_off_is_refused(model, tmp_path):
    save_model(model, tmp_path / "a.keras", RECORD)
    with zipfile.ZipFile(tmp_path / "a.keras") as whole, zipfile.ZipFile(tmp_path / "cut.keras", "w") as cut:
        for name in whole.namelist():
            cut.writestr(name, whole.read(name)[:2000] if name.endswith(".h5") else whole.read(name))
    with pytest.raises(ModelError, match=r"cut\.keras: damaged"):
        load_model(tmp_path / "cut.keras")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA], ids=["deflate", "lzma"])
@pytest.mark.parametrize("part", ["frcnn.json", "config.json", "model.weights.h5"])
def test_a_compressed_part_that_is_damaged_is_a_damaged_file(model, tmp_path, part, method):
    save_model(model, tmp_path / "a.keras", RECORD)
    path = tmp_path / "packed.keras"
    with zipfile.ZipFile(tmp_path / "a.keras") as whole, zipfile.ZipFile(path, "w") as packed:
        for name in sorted(whole.namelist(), key=lambda name: name != part):
            packed.writestr(name, whole.read(name), method if name == part else None)
    content = bytearray(path.read_bytes())
    start = 30 + len(part) + 20  # a header of 30 bytes, the name, and the first bytes of the stream
    content[start : start + 100] = bytes(100)
    path.write_bytes(content)
    # Pretrained weights are read without the record.
    for read in (load_model,) if part == "frcnn.json" else (load_model, read_source):
        with pytest.raises(ModelError, match=r"packed\.keras: .*(it is damaged|damaged,)"):
            read(path)


def test_other_classes_are_refused_with_both_lists(model, spec, tmp_path):
    save_model(model, tmp_path / "a.keras", RECORD)
    mapping = {"car": "vehicle", "person": "person"}
    other = dataclasses.replace(
        spec, dataset_config=dataclasses.replace(spec.dataset_config, target_class_mapping=mapping)
    )
    with pytest.raises(
        ModelError, match=r"trained for classes car, person; the spec maps to person, vehicle"
    ):
        load_detector(tmp_path / "a.keras", expected_model(other))


def test_another_input_size_is_refused_with_both_sizes(model, spec, tmp_path):
    save_model(model, tmp_path / "a.keras", RECORD)
    image = spec.model_config.input_image_config
    size = dataclasses.replace(image.size_height_width, height=256)
    config = dataclasses.replace(
        spec.model_config, input_image_config=dataclasses.replace(image, size_height_width=size)
    )
    with pytest.raises(ModelError, match=r"trained for input 128x160 .* says 256x160"):
        load_detector(tmp_path / "a.keras", expected_model(dataclasses.replace(spec, model_config=config)))
