"""A model of quantization-aware training, exported: the file computes what the model computes."""

import json

import keras
import numpy as np
import onnx
import pytest

from frcnn.cli.main import main
from frcnn.exporting.exporter import ExportOptions, export_with_ranges, split_trained
from frcnn.exporting.onnx.from_keras import convert_features, convert_head
from frcnn.model.files.checkpoint import save_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.model.qat.insert import to_qat
from frcnn.model.qat.layers import QDQ
from frcnn.settings.exporting import export_settings
from tests.support.export_models import noise
from tests.support.quantized import run
from tests.unit.cli.conftest import process_left_alone  # noqa: F401


@pytest.fixture(scope="module")
def learned(exported):
    """The detector with rounding in it, and ranges that fit some images."""
    model = to_qat(exported.model)
    images = noise(np.random.default_rng(0), 2, exported.spec)
    settle(model.features, images)
    crops = np.random.default_rng(0).uniform(0.0, 4.0, (4, *model.roi_head.inputs[0].shape[1:]))
    settle(model.roi_head, crops.astype(np.float32))
    return model


def settle(network, inputs):
    """Gives each rounding the range that its input has, in the order of computation."""
    for layer in network.layers:
        if isinstance(layer, QDQ):
            before = keras.Model(network.inputs, layer.input)([inputs])
            layer.scaling_factor.assign(np.abs(before).max())


@pytest.fixture(scope="module")
def split(learned):
    return split_trained(learned)


@pytest.fixture(scope="module")
def parts(split):
    return [convert(split[0], 18, split[1].layers) for convert in (convert_features, convert_head)]


@pytest.fixture(autouse=True)
def _converted_once(parts, monkeypatch):
    for name, part in zip(("features", "head"), parts, strict=True):
        target = f"frcnn.exporting.exporter.convert_{name}"
        monkeypatch.setattr(target, lambda model, opset, marks=(), part=part: part)


@pytest.mark.parametrize("profile", ["tensorrt", "cpu"])
def test_the_file_rounds_as_training_did_or_finer(exported, learned, split, profile):
    images = noise(np.random.default_rng(0), 2, exported.spec)
    options = ExportOptions(precision="int8", int8_profile=profile)
    made = export_with_ranges(split[0], export_settings(exported.spec), options, trained=split[1])
    rounded, exact = (
        [np.transpose(each, (0, 3, 1, 2)) for each in model.features(images)] for model in (learned, split[0])
    )
    source = images.transpose(0, 3, 1, 2).copy()
    found = run(made.proto, source, ["features", "rpn_scores", "rpn_codes"])
    for one, other, plain in zip(found, rounded, exact, strict=True):
        rounding = np.square(plain - other).mean()
        if profile == "tensorrt":
            assert np.square(one - other).mean() < 0.5 * rounding
        else:  # steps half as wide behind each ReLU
            assert np.square(one - plain).mean() < rounding
    convolutions = [node for node in made.proto.graph.node if node.op_type == "Conv"]
    assert all(name.endswith("/dq") for node in convolutions for name in node.input[:2])


def test_the_command_writes_the_learned_scales(exported, learned, split, tmp_path, caplog):
    save_model(learned, tmp_path / "model.keras", TrainingRecord("resnet:10", exported.spec.class_names))
    base = ("-e", exported.folder / "spec.txt", "-m", tmp_path / "model.keras", "-o", tmp_path / "int8.onnx")
    words = ["export", *map(str, base), "--data_type", "int8"]
    assert main(words) == 2
    assert "Name a file for its ranges" in caplog.text
    assert main([*words, "--cal_json_file", str(tmp_path / "scales.json")]) == 0
    written = json.loads((tmp_path / "scales.json").read_text())["tensor_scales"]
    scales = split[1].activations
    assert written["input_image"] == pytest.approx(scales["input_image"])
    assert written["features"] == pytest.approx(scales["block_3a_relu"])
    assert written["bb/block_1a_relu_1"] == pytest.approx(scales["block_1a_relu_1"])
    assert any(node.op_type == "QuantizeLinear" for node in onnx.load(tmp_path / "int8.onnx").graph.node)
