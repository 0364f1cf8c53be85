import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from frcnn.exporting.onnx.folding import folded
from tests.support.onnx_stages import run_model

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.normal(size=(1, 2, 6, 6)).astype(np.float32)
KERNEL = RANDOM.normal(size=(3, 2, 3, 3)).astype(np.float32)
BIAS, SCALE, OFFSET = (RANDOM.normal(size=3).astype(np.float32) for _ in range(3))
CONV = ("Conv", ["x", "kernel", "bias"], ["c"], {})
PAD = ("Pad", ["r", "pads"], ["p"], {})
POOL = ("MaxPool", ["p"], ["y"], {"kernel_shape": [3, 3], "strides": [2, 2]})


def model_of(*nodes):
    """A model from `x` to `y`, of nodes as (operator, inputs, outputs, attributes)."""
    constants = {
        "kernel": KERNEL,
        "bias": BIAS,
        "scale": SCALE.reshape(1, 3, 1, 1),
        "offset": OFFSET.reshape(3, 1, 1),
        "gamma": SCALE,
        "beta": OFFSET,
        "mean": BIAS,
        "variance": np.abs(OFFSET) + 0.5,
        "pads": np.asarray([0, 0, 1, 1, 0, 0, 1, 1]),
    }
    used = {name for node in nodes for name in node[1]}
    graph = helper.make_graph(
        [helper.make_node(op, inputs, outputs, **more) for op, inputs, outputs, more in nodes],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 6, 6])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def operators_after_folding(model):
    """Operators after folding; checks that the result is the same."""
    (before,) = run_model(model, {"x": IMAGE})
    model.graph.CopyFrom(folded(model.graph))
    (after,) = run_model(model, {"x": IMAGE})
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)
    return [node.op_type for node in model.graph.node]


def test_scale_and_offset_go_into_a_biased_convolution():
    scale, offset = ("Mul", ["c", "scale"], ["s"], {}), ("Add", ["offset", "s"], ["y"], {})
    assert operators_after_folding(model_of(CONV, scale, offset)) == ["Conv"]


def test_batch_normalization_goes_into_a_biased_convolution():
    inputs = ["c", "gamma", "beta", "mean", "variance"]
    assert operators_after_folding(
        model_of(CONV, ("BatchNormalization", inputs, ["y"], {"epsilon": 0.01}))
    ) == ["Conv"]


def test_a_convolution_that_others_use_stays_as_it_is():
    scale, add = ("Mul", ["c", "scale"], ["s"], {}), ("Add", ["c", "s"], ["y"], {})
    assert operators_after_folding(model_of(CONV, scale, add)) == ["Conv", "Mul", "Add"]


def test_zeros_after_a_relu_become_padding_of_the_pool():
    relu = ("Relu", ["c"], ["r"], {})
    assert operators_after_folding(model_of(CONV, relu, PAD, POOL)) == ["Conv", "Relu", "MaxPool"]


def test_zeros_become_padding_of_a_convolution():
    pad = ("Pad", ["x", "pads"], ["p"], {})
    convolution = ("Conv", ["p", "kernel", "bias"], ["y"], {"pads": [0, 1, 0, 1], "strides": [2, 2]})
    assert operators_after_folding(model_of(pad, convolution)) == ["Conv"]


@pytest.mark.parametrize("before", ["Neg", "Identity"])
def test_zeros_stay_where_values_may_be_negative(before):
    assert operators_after_folding(model_of(CONV, (before, ["c"], ["r"], {}), PAD, POOL)) == [
        "Conv",
        before,
        "Pad",
        "MaxPool",
    ]


@pytest.mark.parametrize(("shape", "order"), [([3, 3, 2, 3], [3, 2, 0, 1]), ([3, 3, 3, 2], [2, 3, 0, 1])])
def test_a_kernel_given_as_an_input_becomes_a_constant_in_the_layout_that_the_convolution_wants(shape, order):
    kernel = RANDOM.normal(size=shape).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["flat", "shape"], ["k"]),
            helper.make_node("Transpose", ["k"], ["kernel"], perm=order),
            helper.make_node("Conv", ["x", "kernel"], ["y"]),
        ],
        "test",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 6, 6]),
            helper.make_tensor_value_info("flat", TensorProto.FLOAT, [54]),
        ],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(shape), "shape")],
    )
    small = folded(graph, {"flat": kernel.reshape(-1)})
    assert [node.op_type for node in small.node] == ["Conv"]
    assert [each.name for each in small.input] == ["x"]
    (stored,) = small.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(stored), kernel.transpose(order))


def test_a_reshape_that_keeps_a_length_stays():
    reshape = ("Reshape", ["offset", "keep"], ["o"], {})
    model = model_of(reshape, ("Add", ["x", "o"], ["y"], {}))
    model.graph.initializer.append(numpy_helper.from_array(np.asarray([0, -1, 1]), "keep"))
    assert [node.op_type for node in folded(model.graph).node] == ["Reshape", "Add"]
