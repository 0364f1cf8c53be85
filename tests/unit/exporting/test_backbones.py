"""Every backbone comes out of the conversion as it went in, and those of each family into integers."""

from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf

from frcnn.data.transforms.preprocess import prepare_image
from frcnn.exporting.exporter import ExportOptions, export_onnx, write_onnx
from frcnn.exporting.int8.calibration import calibrate
from frcnn.exporting.int8.qdq import insert_pairs
from frcnn.inference.compare import Tolerance, compare_detectors
from frcnn.inference.onnx import load_onnx_detector
from frcnn.model.keras_detector import KerasDetector
from frcnn.settings.data import image_settings
from frcnn.settings.exporting import export_settings
from frcnn.settings.model import detection_settings, expected_model
from frcnn.spec.archs import ARCHS
from tests.support.export_models import calibrated_model, export_spec, noise
from tests.support.image_folders import picture, save

PHOTOGRAPHS = Path(__file__).parents[4] / "shared/data/bccd/images"
# INT8 too; other numbers of resnet, vgg and efficientnet have the same blocks in other numbers and widths.
QUANTIZED = {
    "resnet:50",
    "googlenet",
    "mobilenet_v1",
    "mobilenet_v2",
    "darknet:19",
    "efficientnet:b0",
}
# Random weights make deep residual networks chaotic: with (0.7, 1.3), rounding grows to 3 px in resnet:101,
# with (0.1, 0.3) to 0.13 px.
GAMMA = dict.fromkeys(("resnet:101", "resnet101"), (0.03, 0.1))
# With (0.3, 0.6) one of 120 detections has no counterpart, the others differ by 0.005 px: likely rounding
# at a threshold of the NMS.
GAMMA["mobilenet_v1"] = (0.2, 0.5)


@pytest.fixture(autouse=True)
def forgotten():
    """The networks of 22 tests would fill the memory."""
    yield
    keras.utils.clear_session(free_memory=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("arch", ARCHS)
def test_a_backbone_finds_what_keras_finds(tmp_path, arch):
    spec = export_spec(tmp_path, model=f'arch: "{arch}"')
    settings, paths = image_settings(spec), photographs(tmp_path)
    prepared = [prepare_image(tf.constant(path.read_bytes()), settings)[0] for path in paths]
    model = calibrated_model(spec, images=np.stack(prepared), gamma=GAMMA.get(arch, (0.3, 0.6)))
    proto = export_onnx(model, export_settings(spec), ExportOptions())
    networks = {node.op_type for node in proto.graph.node if node.name.startswith(("bb/", "hd/"))}
    # VGG's dense layers want the rows of a map one after the other.
    allowed = {"Transpose"} if arch.startswith("vgg") else set()
    assert not networks & {"Transpose", "BatchNormalization", "Pad", "Loop", "If"} - allowed
    write_onnx(proto, tmp_path / "model.onnx")
    onnx.checker.check_model(tmp_path / "model.onnx", full_check=True)
    found = compare_detectors(
        KerasDetector(model, detection_settings(spec.inference_config)),
        load_onnx_detector(tmp_path / "model.onnx", expected_model(spec, "inference")),
        paths,
        settings,
        batch_size=2,
        tolerance=Tolerance(),
    )
    assert found.expected > 20
    assert found.unmatched == 0.0
    if arch in QUANTIZED:
        images = noise(np.random.default_rng(1), 2, spec)
        left = _convolutions_in_float(proto, images, tmp_path / "optimized.onnx")
        assert left == 2  # the RPN's outputs


def photographs(folder):
    """Four real ones; drawn ones where there are none."""
    if PHOTOGRAPHS.is_dir():
        return sorted(PHOTOGRAPHS.glob("*.jpg"))[::100][:4]
    paths = [folder / f"drawn/{index}.png" for index in range(4)]
    for index, path in enumerate(paths):
        save(path, picture((32, 40, 64 + 10 * index, 100), 128, 160))
    return paths


def _convolutions_in_float(proto, images, path):
    """Counts the float convolutions that are left when ONNX Runtime has optimized the INT8 form."""
    quantized = insert_pairs(proto, calibrate(proto, [images.transpose(0, 3, 1, 2)], 2, "minmax"), "cpu")
    onnx.checker.check_model(quantized, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(quantized.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [node.op_type for node in onnx.load(path).graph.node]
    assert names.count("QLinearConv") > 10
    return names.count("Conv") + names.count("FusedConv")
