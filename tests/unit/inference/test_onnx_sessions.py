"""The runtimes of exported files: the same file finds the same in each."""

import logging
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from frcnn.cli.main import main
from frcnn.cpu import has_bfloat16
from frcnn.errors import ModelError, RunError, UsageError
from frcnn.exporting.exporter import ExportOptions, export_onnx, write_onnx
from frcnn.exporting.int8.calibration import calibrate
from frcnn.exporting.int8.qdq import insert_pairs
from frcnn.exporting.onnx.tensor_names import OUTPUTS
from frcnn.inference.compare import Tolerance, compare_batches
from frcnn.inference.onnx import load_onnx_detector
from frcnn.inference.onnx_sessions import open_session
from frcnn.inference.runtime_choice import RuntimeChoice
from frcnn.settings.exporting import export_settings
from frcnn.settings.model import expected_model
from tests.support.bfloat16 import needs_bfloat16
from tests.support.export_models import calibrated_model, export_spec, noise
from tests.support.image_folders import picture, save
from tests.unit.cli.conftest import process_left_alone  # noqa: F401

OPENVINO = RuntimeChoice("openvino")


def detector(exported, choice=None):
    return load_onnx_detector(
        exported.folder / "model.onnx", expected_model(exported.spec, "inference"), "", choice
    )


def test_openvino_finds_what_onnx_runtime_finds(exported):
    pytest.importorskip("openvino")
    # Noise: no two scores are equal, and no IoU is at the threshold, where OpenVINO suppresses too.
    images = noise(np.random.default_rng(2), 3, exported.spec)
    expected = detector(exported)(images)
    found = compare_batches(expected, detector(exported, OPENVINO)(images), Tolerance())
    assert found.expected > 30
    assert found.unmatched == 0.0


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_the_fast_head_finds_what_the_file_finds(exported, name, caplog):
    pytest.importorskip(name)
    images = noise(np.random.default_rng(2), 3, exported.spec)
    expected = detector(exported, RuntimeChoice(name))(images)
    assert "CPU form" not in caplog.text
    with caplog.at_level(logging.INFO, "frcnn"):
        fast = detector(exported, RuntimeChoice(name, fast_head=True))(images)
    assert "Using the CPU form of the head's 3x3 convolutions" in caplog.text
    found = compare_batches(expected, fast, Tolerance(box=0.01, score=1e-4))
    assert (found.expected > 30, found.unmatched) == (True, 0.0)
    assert not np.array_equal(fast.scores, expected.scores)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_narrow_files_are_run_as_they_are(exported, converted_once, precision, tmp_path, caplog):
    images = noise(np.random.default_rng(1), 1, exported.spec).transpose(0, 3, 1, 2).copy()
    graph = export_onnx(
        exported.model,
        export_settings(exported.spec),
        ExportOptions(precision=precision),
        lambda plain: calibrate(plain, [images], 1, "minmax"),
    )
    write_onnx(graph, tmp_path / "narrow.onnx")
    with caplog.at_level(logging.INFO, "frcnn"):
        expected, found = (
            open_session(tmp_path / "narrow.onnx", tmp_path, RuntimeChoice(fast_head=each)).run(
                {"input_image": images}
            )
            for each in (False, True)
        )
    assert "CPU form" not in caplog.text
    for left, right in zip(expected, found, strict=True):
        np.testing.assert_array_equal(left, right)


@needs_bfloat16
def test_openvino_in_bfloat16_finds_nearly_the_same(exported, caplog):
    pytest.importorskip("openvino")
    images = noise(np.random.default_rng(2), 2, exported.spec)
    exact, narrow = (
        detector(exported, each)(images) for each in (OPENVINO, RuntimeChoice("openvino", "bf16"))
    )
    np.testing.assert_allclose(narrow.scores[:, :5], exact.scores[:, :5], atol=0.05)
    # Without bfloat16 in hardware OpenVINO computes in float32, and the log says so.
    assert np.array_equal(narrow.scores, exact.scores) == (not has_bfloat16())
    said = "precision_hint bf16: OpenVINO does not support it on this CPU" in caplog.text
    assert said == (not has_bfloat16())


def test_openvino_computes_int8_of_any_number_of_images_as_onnx_runtime_does(tmp_path):
    pytest.importorskip("openvino")
    # Without a pool behind the first convolution OpenVINO goes wrong where the batch is free: scores by 0.3.
    spec = export_spec(tmp_path, model="use_pooling: false")
    images = noise(np.random.default_rng(1), 3, spec).transpose(0, 3, 1, 2).copy()
    graph = export_onnx(calibrated_model(spec), export_settings(spec), ExportOptions())
    write_onnx(insert_pairs(graph, calibrate(graph, [images], 2, "minmax"), "cpu"), tmp_path / "int8.onnx")
    expected, found = (
        open_session(tmp_path / "int8.onnx", tmp_path, choice) for choice in (RuntimeChoice(), OPENVINO)
    )
    assert found.batch_size is None
    for batch in (images, images[:2], images):
        scores, narrow = (each.run({"input_image": batch})[1][:, :5] for each in (expected, found))
        assert scores.min() > 0.3
        np.testing.assert_allclose(narrow, scores, atol=0.1)


def test_what_runs_the_model_is_said(exported, caplog):
    with caplog.at_level(logging.INFO, "frcnn"):
        detector(exported)
    assert "runs the model on: CPU" in caplog.text


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_runtime_that_is_missing_is_named_with_what_to_install(exported, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(RunError, match=rf"runtime {name} needs the package {name}, .*pip install 'frcnn\["):
        detector(exported, RuntimeChoice(name))


def test_only_openvino_takes_a_precision_hint():
    with pytest.raises(
        UsageError, match=r"^precision_hint bf16: only the runtime openvino takes one, not onnxruntime"
    ):
        RuntimeChoice("onnxruntime", "bf16")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("fast", [False, True])
def test_an_operator_that_the_runtime_lacks_is_said_in_one_line(tmp_path, name, fast):
    pytest.importorskip(name)
    save_graph(tmp_path / "new.onnx", "NotYetInvented")
    with pytest.raises(ModelError, match=rf"^shown\.onnx: {name} cannot run it: [^\n]+$"):
        open_session(tmp_path / "new.onnx", Path("shown.onnx"), RuntimeChoice(name, fast_head=fast))


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_images_of_any_number_and_size_run(tmp_path, name):
    pytest.importorskip(name)
    save_graph(tmp_path / "free.onnx", "Identity")
    session = open_session(tmp_path / "free.onnx", tmp_path / "free.onnx", RuntimeChoice(name, threads=1))
    assert session.batch_size is None
    for shape in ((1, 3, 4, 6), (2, 3, 8, 2), (1, 3, 4, 6)):
        image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        for answer in session.run({"input_image": image}):
            np.testing.assert_array_equal(answer, image)


def test_the_commands_take_the_runtime(exported, tmp_path, capsys):
    pytest.importorskip("openvino")
    save(tmp_path / "images/0.png", picture((32, 40, 64, 100), 128, 160))
    model = str(exported.folder / "model.onnx")
    words = (
        "--against",
        model,
        "-e",
        str(exported.folder / "spec.txt"),
        "--images",
        str(tmp_path / "images"),
    )
    assert main(["onnx", "verify", model, *words, "--runtime", "openvino"]) == 0
    assert "0.000 %" in capsys.readouterr().out


def save_graph(path, operator):
    """An image of any size in, four times what `operator` makes of it out."""
    free = ["batch", 3, "height", "width"]
    image = helper.make_tensor_value_info("input_image", TensorProto.FLOAT, free)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, free) for name in OUTPUTS]
    nodes = [helper.make_node(operator, ["input_image"], [name]) for name in OUTPUTS]
    graph = helper.make_graph(nodes, "free", [image], outputs)
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
