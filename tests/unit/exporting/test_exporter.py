import json

import numpy as np
import onnx
import pytest

from frcnn.errors import ModelError, UsageError
from frcnn.exporting.exporter import ExportOptions, export_onnx, write_onnx
from frcnn.exporting.onnx.float16 import to_half
from frcnn.exporting.record import ExportRecord
from frcnn.inference.onnx import load_onnx_detector
from frcnn.settings.exporting import export_settings
from frcnn.settings.model import expected_model
from tests.support.export_models import noise


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"opset": 12}, "target_opset 12: the standard graph supports 18 to 21"),
        ({"opset": 22}, "18 to 21"),
        ({"opset": 19, "graph": "plugin"}, "the plugin graph supports 13 to 18"),
        ({"batch_size": 0}, "static_batch_size 0: expected 1 or more"),
    ],
)
def test_what_no_graph_can_be_is_refused(options, told):
    with pytest.raises(UsageError, match=told):
        ExportOptions(**options)


def test_the_file_tells_how_it_was_made(exported):
    properties = {each.key: each.value for each in onnx.load(exported.folder / "model.onnx").metadata_props}
    record = ExportRecord.from_json(properties["frcnn"])
    assert record.geometry == exported.model.geometry
    assert (record.graph, record.precision) == ("standard", "fp32")
    assert record.settings.proposals.post_nms == 40
    assert json.loads(properties["frcnn"])["preprocessing"]["order"] == "rgb"


def test_a_fixed_batch_size_is_filled_up_and_cut(exported, converted_once, tmp_path):
    write_onnx(
        export_onnx(exported.model, export_settings(exported.spec), ExportOptions(batch_size=2)),
        tmp_path / "two.onnx",
    )
    images = noise(np.random.default_rng(0), 3, exported.spec)
    fixed, free = (
        load_onnx_detector(path, expected_model(exported.spec, "inference"))(images)
        for path in (tmp_path / "two.onnx", exported.folder / "model.onnx")
    )
    np.testing.assert_array_equal(fixed.count, free.count)
    np.testing.assert_allclose(fixed.boxes, free.boxes, atol=1e-3)


@pytest.mark.parametrize("options", [{"opset": 21}, {"precision": "fp16"}])
def test_other_forms_find_the_same(exported, converted_once, tmp_path, options):
    proto = export_onnx(exported.model, export_settings(exported.spec), ExportOptions(**options))
    write_onnx(proto, tmp_path / "other.onnx")
    images = noise(np.random.default_rng(0), 2, exported.spec)
    other, plain = (
        load_onnx_detector(path, expected_model(exported.spec, "inference"))(images)
        for path in (tmp_path / "other.onnx", exported.folder / "model.onnx")
    )
    # The best ten: 16 bits may swap what is nearly equal further down.
    np.testing.assert_allclose(other.scores[:, :10], plain.scores[:, :10], atol=0.02)


def test_half_precision_halves_the_weights_and_keeps_probabilities_wide(exported):
    half = to_half(exported.head)
    sizes = [sum(len(each.raw_data) for each in part.graph.initializer) for part in (exported.head, half)]
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.01)
    casts = {node.output[0]: node for node in half.graph.node if node.op_type == "Cast"}
    softmax = next(node for node in half.graph.node if node.op_type == "Softmax")
    assert casts[softmax.input[0]].attribute[0].i == onnx.TensorProto.FLOAT


def test_a_sealed_file_opens_with_its_key_only(exported, converted_once, tmp_path):
    path = tmp_path / "model.etlt"
    write_onnx(export_onnx(exported.model, export_settings(exported.spec), ExportOptions()), path, "secret")
    assert b"Conv" not in path.read_bytes()
    load_onnx_detector(path, expected_model(exported.spec, "inference"), "secret")
    with pytest.raises(ModelError, match="another key"):
        load_onnx_detector(path, expected_model(exported.spec), "other")
