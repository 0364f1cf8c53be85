"""The head in the form for CPUs computes what the plain one computes, by the operators it should."""

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from frcnn.errors import UsageError
from frcnn.exporting.exporter import ExportOptions, export_onnx, write_onnx
from frcnn.exporting.onnx.fast_head import with_fast_head, with_fed_kernels
from frcnn.exporting.onnx.graph_builder import GraphBuilder
from frcnn.inference.compare import Tolerance, compare_batches
from frcnn.inference.onnx import load_onnx_detector
from frcnn.settings.exporting import export_settings
from frcnn.settings.model import expected_model
from tests.support.export_models import noise
from tests.support.onnx_stages import run_model

DEPTH, SIDE = 64, 7


def head(build, depth=DEPTH, side=SIDE):
    """The network that `build` makes of `inputs`; it returns the outputs' names."""
    graph = GraphBuilder()
    names = build(graph)
    crops = helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["N", depth, side, side])
    outputs = [helper.make_empty_tensor_value_info(name) for name in names]
    model = graph.model("head", [crops], outputs, {"": 18})
    return onnx.shape_inference.infer_shapes(model)


def run(model, crops):
    onnx.checker.check_model(model, full_check=True)
    return run_model(model, {"inputs": crops})


def operators(model):
    return Counter(node.op_type for node in model.graph.node)


def convolution(graph, maps, filters, depth, kernel=3, bias=True, **options):
    random = np.random.default_rng(filters + kernel)
    weights = random.normal(0.0, 1.0 / np.sqrt(depth * kernel**2), (filters, depth, kernel, kernel))
    operands = [weights.astype(np.float32)]
    if bias:
        operands.append(random.normal(0.0, 0.2, filters).astype(np.float32))
    options.setdefault("pads", [kernel // 2] * 4)
    return graph.add("Conv", maps, *operands, kernel_shape=[kernel] * 2, **options)


def basic_block(graph):
    first = graph.add("Relu", convolution(graph, "inputs", 96, DEPTH))
    second = convolution(graph, first, 80, 96, bias=False)
    total = graph.add("Add", second, convolution(graph, "inputs", 80, DEPTH, kernel=1))
    scaled = graph.add("Mul", graph.add("LeakyRelu", total, alpha=0.3), np.float32(1.5))
    pooled = graph.add("AveragePool", scaled, kernel_shape=[SIDE, SIDE])
    return [pooled, graph.add("GlobalAveragePool", scaled)]


def bottleneck(graph):
    narrow = graph.add("Relu", convolution(graph, "inputs", 64, 256, kernel=1))
    middle = graph.add("Relu", convolution(graph, narrow, 64, 64))
    wide = convolution(graph, middle, 256, 64, kernel=1)
    return [graph.add("Relu", graph.add("Add", wide, "inputs"))]


@pytest.mark.parametrize("side", [1, 5, 7, 8])
@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("transformed", [True, False])
def test_basic_blocks_stay_in_one_layout(side, count, transformed):
    def block(graph):
        first = graph.add("Relu", convolution(graph, "inputs", 96, DEPTH))
        total = graph.add(
            "Add", convolution(graph, first, 80, 96), convolution(graph, "inputs", 80, DEPTH, 1)
        )
        return [graph.add("Relu", total)]

    plain = head(block, side=side)
    fast = with_fast_head(plain, transformed=transformed)
    crops = np.random.default_rng(0).normal(size=(count, DEPTH, side, side)).astype(np.float32)
    np.testing.assert_allclose(run(fast, crops)[0], run(plain, crops)[0], atol=1e-5)
    assert operators(fast)["Conv"] == 0
    assert operators(fast)["Transpose"] == 2  # of the crops, and of the outcome


def test_means_and_constants_need_no_other_layout():
    plain = head(basic_block)
    fast = with_fast_head(plain, transformed=True)
    crops = np.random.default_rng(0).normal(size=(3, DEPTH, SIDE, SIDE)).astype(np.float32)
    for found, expected in zip(run(fast, crops), run(plain, crops), strict=True):
        assert found.shape == (3, 80, 1, 1)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert operators(fast)["Transpose"] == 1
    assert not {"Conv", "AveragePool", "GlobalAveragePool"} & set(operators(fast))


def test_bottlenecks_keep_their_narrow_convolutions():
    plain = head(bottleneck, depth=256)
    fast = with_fast_head(plain, transformed=True)
    crops = np.random.default_rng(0).normal(size=(3, 256, SIDE, SIDE)).astype(np.float32)
    np.testing.assert_allclose(run(fast, crops)[0], run(plain, crops)[0], atol=1e-5)
    assert operators(fast)["Conv"] == 2


@pytest.mark.parametrize(
    ("options", "depth", "side"),
    [
        ({"strides": [2, 2]}, 64, 7),
        ({"pads": [0, 0, 0, 0]}, 64, 7),
        ({"dilations": [2, 2], "pads": [2, 2, 2, 2]}, 64, 7),
        ({}, 32, 7),
        ({}, 64, 14),
    ],
)
def test_what_would_not_gain_is_left_alone(options, depth, side):
    plain = head(lambda graph: [convolution(graph, "inputs", 64, depth, **options)], depth, side)
    assert with_fast_head(plain, transformed=True) is None


def test_the_whole_graph_finds_what_the_plain_one_finds(exported, converted_once, tmp_path):
    proto = export_onnx(exported.model, export_settings(exported.spec), ExportOptions(cpu_fast_head=True))
    nodes = [node.op_type for node in proto.graph.node if node.name.startswith("hd/")]
    assert ("Conv" in nodes, nodes.count("Transpose")) == (False, 1)
    write_onnx(proto, tmp_path / "fast.onnx")
    images = noise(np.random.default_rng(3), 2, exported.spec)
    expected, found = (
        load_onnx_detector(path, expected_model(exported.spec, "inference"))(images)
        for path in (exported.folder / "model.onnx", tmp_path / "fast.onnx")
    )
    same = compare_batches(expected, found, Tolerance(box=0.01, score=1e-4))
    assert (same.expected > 20, same.unmatched) == (True, 0.0)


def test_kernels_can_keep_their_size():
    plain = head(basic_block)
    large, small = (
        with_fast_head(plain, transformed=each).ByteSize() / plain.ByteSize() for each in (True, False)
    )
    assert large > 5
    assert small < 1.5


@pytest.mark.parametrize("side", [5, 7])
def test_fed_kernels_give_what_the_plain_ones_give(side):
    plain = head(
        lambda graph: [convolution(graph, convolution(graph, "inputs", 96, DEPTH), 80, 96)], side=side
    )
    fast = with_fed_kernels(plain)
    fed = {
        name: (kernel.transform @ kernel.plain).reshape(kernel.shape) for name, kernel in fast.kernels.items()
    }
    assert [each.name for each in fast.network.graph.input] == ["inputs", *fed]
    crops = np.random.default_rng(0).normal(size=(3, DEPTH, side, side)).astype(np.float32)
    onnx.checker.check_model(fast.network, full_check=True)
    found = run_model(fast.network, {"inputs": crops, **fed})
    np.testing.assert_allclose(found[0], run(plain, crops)[0], atol=1e-5)


def test_a_network_with_fed_kernels_does_not_contain_them():
    plain = head(basic_block)
    fast = with_fed_kernels(plain)
    assert [kernel.shape for kernel in fast.kernels.values()] == [(94, 64, 96), (94, 96, 80)]
    assert fast.network.ByteSize() < plain.ByteSize() / 2


def test_nothing_is_fed_where_no_convolution_gains():
    plain = head(lambda graph: [convolution(graph, "inputs", 64, DEPTH, pads=[0, 0, 0, 0])])
    assert with_fed_kernels(plain) is None


def test_two_constants_of_one_name_are_refused():
    graph = GraphBuilder()
    first, second = (onnx.numpy_helper.from_array(np.float32([each]), "same") for each in (1, 2))
    assert [graph.store(first), graph.store(first)] == ["same", "same"]
    with pytest.raises(ValueError, match="two constants are named 'same'"):
        graph.store(second)


def test_a_whole_detector_is_rewritten_as_its_head_alone_would_be(exported):
    plain = onnx.load(exported.folder / "model.onnx")
    fast = with_fast_head(plain, transformed=False)
    onnx.checker.check_model(fast, full_check=True)
    count, before = operators(fast), operators(plain)
    backbone = sum(node.op_type == "Conv" for node in plain.graph.node if node.name.startswith("bb/"))
    assert count["Conv"] == backbone < before["Conv"]
    assert count["Transpose"] == before["Transpose"] + 1
    assert with_fast_head(fast, transformed=False) is None


@pytest.mark.parametrize("options", [{"graph": "plugin"}, {"precision": "fp16"}, {"precision": "int8"}])
def test_other_forms_have_no_fast_head(options):
    with pytest.raises(UsageError, match="cpu_fast_head: requires the standard graph and the data type fp32"):
        ExportOptions(cpu_fast_head=True, **options)


def test_a_head_that_does_not_gain_is_said(exported, converted_once, monkeypatch, caplog):
    monkeypatch.setattr("frcnn.exporting.exporter.with_fast_head", lambda model, transformed: None)
    export_onnx(exported.model, export_settings(exported.spec), ExportOptions(cpu_fast_head=True))
    assert "no 3x3 convolution that would become faster" in caplog.text
