"""INT8 exports of a detector: names, learned ranges, the plugin graph."""

import keras
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from frcnn.errors import UsageError
from frcnn.exporting.exporter import ExportOptions, export_with_ranges
from frcnn.exporting.int8.trained_ranges import TrainedRanges
from frcnn.exporting.onnx.from_keras import convert_features, convert_head
from frcnn.settings.exporting import export_settings
from tests.support.export_models import noise
from tests.support.quantized import run

INNER = ("conv1_relu", "block_1a_add", "block_2a_relu_1", "block_2a_relu", "block_3a_relu", "rpn_conv1")
HEAD = ("crops", "block_4a_relu_1", "block_4a_add", "block_4a_relu", "avg_pool")


@pytest.fixture(scope="module")
def marked(exported):
    names = (*INNER, *HEAD, "input_image", "pool1", "rpn_out_class", "block_1a_conv_1", "dense_class_td")
    names += ("time_distributed_flatten",)
    return convert_features(exported.model, 18, names), convert_head(exported.model, 18, names)


@pytest.fixture
def marked_once(marked, monkeypatch):
    monkeypatch.setattr("frcnn.exporting.exporter.convert_features", lambda model, opset, marks=(): marked[0])
    monkeypatch.setattr("frcnn.exporting.exporter.convert_head", lambda model, opset, marks=(): marked[1])


def test_a_marked_layers_result_is_found_in_the_graph(exported, marked):
    random = np.random.default_rng(0)
    crops = random.normal(0.0, 1.0, (2, 7, 7, 256)).astype(np.float32)
    sources = (noise(random, 2, exported.spec), crops)
    networks = (exported.model.features, exported.model.roi_head)
    for part, network, images, layers in zip(marked, networks, sources, (INNER, HEAD[1:]), strict=True):
        model = onnx.helper.make_model(
            part.graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8
        )
        model.graph.input[0].name = "input_image"
        for node in model.graph.node:
            node.input[:] = ["input_image" if each == part.inputs[0] else each for each in node.input]
        found = run(model, images.transpose(0, 3, 1, 2).copy(), [part.marks[each] for each in layers])
        expected = keras.Model(network.inputs, [network.get_layer(each).output for each in layers])
        for layer, one, other in zip(layers, found, expected([images]), strict=True):
            np.testing.assert_allclose(one, np.transpose(other, (0, 3, 1, 2)), atol=1e-4, err_msg=layer)
    # Folded into the normalization behind it, or no more than another shape.
    assert "block_1a_conv_1" not in marked[0].marks
    assert "time_distributed_flatten" not in marked[1].marks


def test_learned_ranges_become_the_steps_of_their_tensors(exported, marked_once):
    limits = {name: 2.0 + index for index, name in enumerate((*INNER, *HEAD, "input_image"))}
    trained = TrainedRanges(limits | {"rpn_out_class": 1.0})
    options = ExportOptions(precision="int8", int8_profile="tensorrt")
    made = export_with_ranges(exported.model, export_settings(exported.spec), options, trained=trained)
    assert made.ranges["input_image"] == (-limits["input_image"], limits["input_image"])
    assert made.ranges["features"] == (-limits["block_3a_relu"], limits["block_3a_relu"])
    assert made.ranges["crops"] == (-limits["crops"], limits["crops"])
    assert made.ranges["rpn_scores"] == (-1.0, 1.0)
    values = {each.name: numpy_helper.to_array(each) for each in made.proto.graph.initializer}
    for tensor, layer in (
        ("input_image", "input_image"),
        ("bb/block_2a_relu", "block_2a_relu"),
        ("bb/block_2a_relu_1", "block_2a_relu_1"),
        ("features", "block_3a_relu"),
        ("hd/block_4a_relu_1", "block_4a_relu_1"),
    ):
        assert values[f"{tensor}/scale"] == pytest.approx(limits[layer] / 127), tensor
    # Its shortcut has no learned range, so the sum stays float.
    total = next(node for node in made.proto.graph.node if "hd/block_4a_add" in node.output)
    assert not any(name.endswith("/dq") for name in total.input)


def test_learned_limits_of_weights_are_stretched_with_what_is_folded_into_them(exported, marked_once):
    # Kernels on a coarse grid, 2.5 of whose steps lie above their largest weight.
    model, layers = exported.model, ("block_1a_conv_1", "rpn_conv1", "dense_class_td")
    networks = (model.features, model.features, model.roi_head)
    kernels = {
        name: np.asarray(part.get_layer(name).kernel) for name, part in zip(layers, networks, strict=True)
    }
    limits = {
        name: 1.25 * np.abs(each).max(axis=tuple(range(each.ndim - 1))) for name, each in kernels.items()
    }
    trained = TrainedRanges(dict.fromkeys((*INNER, *HEAD, "pool1", "input_image"), 3.0), limits)
    options = ExportOptions(precision="int8", int8_profile="tensorrt")
    proto = export_with_ranges(model, export_settings(exported.spec), options, trained=trained).proto
    values = {each.name: numpy_helper.to_array(each) for each in proto.graph.initializer}
    rounded = {
        name.split("/weights")[0]: each for name, each in values.items() if name.endswith("weights/int8")
    }
    for layer in layers:
        (name,) = (each for each in rounded if layer in each)
        largest = np.abs(rounded[name].astype(int))
        largest = largest.max(axis=0) if "dense" in layer else largest.max(axis=(1, 2, 3))
        assert set(largest) <= {101, 102}, layer  # 127 / 1.25
    (other,) = (each for each in rounded if "block_2a_conv_2" in each)
    assert set(np.abs(rounded[other].astype(int)).max(axis=(1, 2, 3))) == {127}


@pytest.fixture
def calibrated(exported, converted_once):
    """Exports with made-up ranges; what was measured is counted."""
    graphs = []

    def calibration(graph):
        graphs.append(graph)
        names = [name for node in graph.graph.node for name in node.output]
        return dict.fromkeys(["input_image", *names], (-4.0, 4.0))

    def export(**options):
        made = export_with_ranges(
            exported.model, export_settings(exported.spec), ExportOptions(**options), calibration
        )
        return made.proto, graphs

    return export


@pytest.mark.parametrize("opset", [18, 21])
def test_int8_comes_in_every_opset_with_size_written_and_batch_free(calibrated, opset):
    proto, graphs = calibrated(precision="int8", opset=opset)
    assert len(graphs) == 1
    sides = [each.dim_value or each.dim_param for each in proto.graph.input[0].type.tensor_type.shape.dim]
    assert sides == ["batch", 3, 128, 160]
    assert {each.version for each in proto.opset_import if not each.domain} == {opset}
    pairs = [node for node in proto.graph.node if node.op_type == "QuantizeLinear"]
    assert len(pairs) > 15
    assert not any(node.name.startswith(("proposals/", "detections/")) for node in pairs)


def test_the_plugin_graph_gets_tensorrts_form(calibrated):
    proto, graphs = calibrated(precision="int8", graph="plugin", opset=18)
    assert not any(node.domain for node in graphs[0].graph.node)
    values = {each.name: numpy_helper.to_array(each) for each in proto.graph.initializer}
    zeros = {values[node.input[2]].dtype for node in proto.graph.node if node.op_type == "QuantizeLinear"}
    assert zeros == {np.dtype(np.int8)}
    with pytest.raises(UsageError, match="int8_profile cpu: only TensorRT runs the plugin graph"):
        calibrated(precision="int8", graph="plugin", int8_profile="cpu")


def test_ranges_are_measured_for_a_float_graph_too(calibrated):
    proto, graphs = calibrated(precision="fp16")
    assert len(graphs) == 1
    assert not any(node.op_type == "QuantizeLinear" for node in proto.graph.node)


def test_tensors_have_the_same_names_in_every_opset(exported):
    older = (convert_features(exported.model, 17), convert_head(exported.model, 17))
    for old, new in zip(older, (exported.features, exported.head), strict=True):
        names = [{name for node in part.graph.node for name in node.output} for part in (old, new)]
        assert names[0] == names[1]
