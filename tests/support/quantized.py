"""A small network as the export makes them, and what its quantized form computes, by numpy alone."""

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from frcnn.exporting.onnx.graph_builder import GraphBuilder
from frcnn.exporting.onnx.standard_graph import INPUT

Ranges = Mapping[str, tuple[float, float]]


def small_network(seed: int = 0) -> onnx.ModelProto:
    """Two convolutions, a pool, a shortcut and a dense layer; [B, 3, 8, 8] to `codes` [B, 4].

    Tensors: first, pooled, second, sum, features, row (the dense layer's input).
    """
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        # Channels of very different size: one scale for all of them would not do.
        scale = np.logspace(-1, 0.5, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
        return (random.normal(0.0, 0.3, shape) * scale).astype(np.float32)

    graph = GraphBuilder()
    add = graph.add
    first = add("Conv", INPUT, normal(6, 3, 3, 3), normal(6), name="bb/conv1", pads=[1, 1, 1, 1])
    first = add("Relu", first, name="bb/relu1", output="first")
    pooled = add("MaxPool", first, output="pooled", name="bb/pool", kernel_shape=[2, 2], strides=[2, 2])
    second = add("Conv", pooled, normal(6, 6, 3, 3), name="bb/conv2", output="second", pads=[1, 1, 1, 1])
    total = add("Add", second, pooled, name="bb/add", output="sum")
    features = add("Relu", total, name="bb/relu2", output="features")
    row = add("Reshape", features, np.asarray([0, -1]), name="bb/flatten", output="row")
    add("MatMul", row, normal(4, 96).T.copy(), name="bb/dense", output="codes")
    # The same outside of the networks, which stays float.
    add("Conv", INPUT, normal(1, 3, 3, 3), name="proposals/Conv", output="outside")
    return graph.model(
        "small",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [
            helper.make_tensor_value_info("codes", TensorProto.FLOAT, ["batch", 4]),
            helper.make_tensor_value_info("outside", TensorProto.FLOAT, ["batch", 1, 6, 6]),
        ],
        {"": 18},
    )


def numpy_network(
    model: onnx.ModelProto, images: np.ndarray, ranges: Ranges, *, unsigned: bool, largest: int = 127
) -> dict[str, np.ndarray]:
    """The tensors of `small_network` with every input of a convolution, sum and product rounded.

    Weights are rounded to whole numbers up to `largest`.
    """
    values = [onnx.numpy_helper.to_array(each) for each in model.graph.initializer]
    kernels = [each for each in values if each.ndim == 4]
    bias = next(each for each in values if each.shape == (6,))
    dense = next(each for each in values if each.ndim == 2)

    def rounded(tensor: np.ndarray, name: str) -> np.ndarray:
        return fake_quantized(tensor, *ranges[name], unsigned=unsigned)

    def weights(kernel: np.ndarray, axis: int) -> np.ndarray:
        limit = np.abs(kernel).max(axis=tuple(set(range(kernel.ndim)) - {axis}), keepdims=True)
        return np.rint(kernel / (limit / largest)) * (limit / largest)

    image = rounded(images, INPUT)
    first = np.maximum(convolved(image, weights(kernels[0], 0)) + bias[:, None, None], 0.0)
    shape = (len(images), 6, 4, 2, 4, 2)
    pooled = rounded(first, "first").reshape(shape).max(axis=(3, 5))
    second = convolved(pooled, weights(kernels[1], 0))
    total = rounded(second, "second") + pooled
    row = rounded(np.maximum(total, 0.0), "features").reshape(len(images), -1)
    return {"first": first, "second": second, "codes": row @ weights(dense, 1)}


def fake_quantized(tensor: np.ndarray, low: float, high: float, *, unsigned: bool) -> np.ndarray:
    """`tensor` on the grid of 8 bits: uint8 over low..high, or int8 with zero in the middle."""
    if unsigned:
        scale = (high - low) / 255
        zero, levels = np.rint(-low / scale), (0, 255)
    else:
        scale, zero, levels = max(-low, high) / 127, 0.0, (-128, 127)
    return (np.clip(np.rint(tensor / scale) + zero, *levels) - zero) * scale


def convolved(images: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """[B, C, h, w] under a 3x3 kernel [M, C, 3, 3], zeros round the edge."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("bchwij,mcij->bmhw", windows, kernel)


def small_ranges(model: onnx.ModelProto, images: np.ndarray) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of each float tensor of a network on these images."""
    names = [name for node in model.graph.node for name in node.output]
    found = zip(names, run(model, images, names), strict=True)
    ranges = {name: (float(value.min()), float(value.max())) for name, value in found}
    return ranges | {INPUT: (float(images.min()), float(images.max()))}


def run(
    model: onnx.ModelProto, images: np.ndarray, outputs: list[str], *, optimized: bool = False
) -> list[np.ndarray]:
    """Inner tensors and outputs, by ONNX Runtime; unoptimized it computes pairs one by one, in floats."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {each.name for each in copy.graph.output}
    copy.graph.output.extend(
        helper.make_empty_tensor_value_info(name) for name in outputs if name not in known
    )
    options = onnxruntime.SessionOptions()
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(outputs, {INPUT: images})


def saturating_network() -> onnx.ModelProto:
    """Three layers with weights and inputs near their largest values; [B, 64, 16, 16] to `codes` [B, 8].

    Sums of two products of 8 bits exceed 16 bits everywhere if the weights use all levels.
    """
    random = np.random.default_rng(0)

    def near_one(*shape: int) -> np.ndarray:
        return random.choice(np.float32([0.9, 1.0]), shape) / np.float32(np.prod(shape[1:]))

    graph = GraphBuilder()
    add = graph.add
    signs = random.choice(np.float32([-1.0, 1.0]), (32, 1, 1, 1))
    first = add("Conv", INPUT, near_one(32, 64, 3, 3) * signs, name="bb/conv1", pads=[1, 1, 1, 1])
    first = add("Relu", first, name="bb/relu1", output="first")
    second = add("Conv", first, near_one(32, 32, 1, 1), name="bb/conv2")
    second = add("Relu", second, name="bb/relu2", output="second")
    row = add("Flatten", add("GlobalAveragePool", second, name="bb/mean"), name="bb/flatten", output="row")
    add("MatMul", row, near_one(8, 32).T.copy(), name="bb/dense", output="codes")
    return graph.model(
        "saturating",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", 64, 16, 16])],
        [helper.make_tensor_value_info("codes", TensorProto.FLOAT, ["batch", 8])],
        {"": 18},
    )


def run_openvino(model: onnx.ModelProto, images: np.ndarray, outputs: list[str]) -> list[np.ndarray]:
    """Outputs of a model, by OpenVINO in the integers it chooses."""
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    read = core.read_model(model.SerializeToString())
    read.reshape(list(images.shape))
    compiled = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled({INPUT: images})
    return [np.array(found[name]) for name in outputs]
