"""Every family of backbones comes out of the conversion as it went in, and into integers."""

import numpy as np
import onnx
import onnxruntime
import pytest

from frcnn.export.calibration import calibrate
from frcnn.export.compare import Tolerance, compare_batches
from frcnn.export.exporter import ExportOptions, export_onnx, write_onnx
from frcnn.export.onnx_detector import load_onnx_detector
from frcnn.export.qdq import insert_pairs
from frcnn.model.build import detection_settings
from frcnn.model.detector import KerasDetector
from tests.support.export_models import calibrated_model, export_spec, noise


@pytest.mark.slow
@pytest.mark.parametrize(
    "arch", ["mobilenet_v1", "mobilenet_v2", "efficientnet:b0", "googlenet", "darknet:19", "resnet:50"]
)
def test_a_family_finds_what_keras_finds(tmp_path, arch):
    # The score is low because some families' random weights are sure of the background.
    spec = export_spec(tmp_path, inference="object_confidence_thres: 0.0001", model=f'arch: "{arch}"')
    model = calibrated_model(spec)
    proto = export_onnx(model, spec, ExportOptions())
    networks = {node.op_type for node in proto.graph.node if node.name.startswith(("bb/", "hd/"))}
    assert not networks & {"Transpose", "BatchNormalization", "Pad", "Loop", "If"}
    write_onnx(proto, tmp_path / "model.onnx")
    images = noise(np.random.default_rng(1), 2, spec)
    expected = KerasDetector(model, detection_settings(spec.inference_config))(images)
    found = compare_batches(
        expected, load_onnx_detector(tmp_path / "model.onnx", spec, mode="inference")(images), Tolerance()
    )
    assert found.expected > 0
    assert found.unmatched == 0.0
    assert _convolutions_in_float(proto, images, tmp_path / "optimised.onnx") == 2  # the RPN's outputs


def _convolutions_in_float(proto, images, path):
    """How many are left when ONNX Runtime has optimised the INT8 form."""
    quantised = insert_pairs(proto, calibrate(proto, [images.transpose(0, 3, 1, 2)], 2, "minmax"), "cpu")
    onnx.checker.check_model(quantised, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(quantised.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [node.op_type for node in onnx.load(path).graph.node]
    assert names.count("QLinearConv") > 10
    return names.count("Conv") + names.count("FusedConv")
