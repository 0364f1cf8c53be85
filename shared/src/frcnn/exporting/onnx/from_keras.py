"""Converts the two networks of a detector to ONNX graphs in channels-first layout."""

import dataclasses
import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from frcnn.exporting.onnx.folding import folded
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import plain_convolutions

LARGEST_OPSET = 18  # supported by the converter
# Names of the parts' outputs in the joined graphs.
FEATURE_TENSORS = ("features", "rpn_scores", "rpn_codes")
HEAD_TENSORS = ("class_probabilities", "box_codes")
_CATCH_ERRORS = "TF2ONNX_CATCH_ERRORS"


@dataclasses.dataclass(frozen=True)
class Part:
    """Converted network.

    Attributes:
        graph: ONNX GraphProto.
        inputs: Names of the inputs, in the network's order.
        outputs: Names of the outputs, in the network's order.
        marks: For each requested layer, the tensor with its result.
        kernels: For each requested layer with a kernel, the node that multiplies with it.
    """

    graph: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    marks: Mapping[str, str] = dataclasses.field(default_factory=dict)
    kernels: Mapping[str, str] = dataclasses.field(default_factory=dict)


def convert_features(model: FasterRCNN, opset: int, marks: Collection[str] = ()) -> Part:
    """Converts backbone and RPN.

    Args:
        model: Detector.
        opset: Opset of the graph.
        marks: Names of layers, of this network or not, whose results and kernels to locate. Results that the
            conversion removes, such as that of a convolution before normalization, are left out.

    Returns:
        Part from images `[B, C, H, W]` to feature map `[B, D, h, w]`, scores `[B, A, h, w]` and deltas
        `[B, 4A, h, w]`.
    """
    geometry = model.geometry
    return _convert(model.features, (geometry.channels, geometry.height, geometry.width), opset, marks)


def convert_head(model: FasterRCNN, opset: int, marks: Collection[str] = ()) -> Part:
    """Converts the head; arguments as for `convert_features`.

    Returns:
        Part from crops `[N, D, P, P]` to class probabilities `[N, C + 1]` and deltas `[N, 4C]`.
    """
    rows, columns, depth = model.roi_head.inputs[0].shape[1:]
    return _convert(model.roi_head, (depth, rows, columns), opset, marks)


def _convert(network: keras.Model, shape: Sequence[int | None], opset: int, marks: Collection[str]) -> Part:
    import tf2onnx

    # As an output, a flattened tensor would not get a constant shape.
    inner = {
        each.name: each.output
        for each in network.layers
        if each.name in marks and not isinstance(each, keras.layers.Flatten | keras.layers.Reshape)
    }
    own = {name: _place(tensor, network.outputs) for name, tensor in inner.items()}
    added = [name for name, place in own.items() if place is None]
    outputs = [*network.outputs, *(inner[name] for name in added)]
    source = keras.Model(network.inputs, outputs) if added else network

    # The converter copies constants dozens of times, so kernels are passed as inputs and restored later.
    kernels = {f"kernel_{index}": each for index, each in enumerate(network.weights) if len(each.shape) > 1}

    # The converter cancels these transpositions against those that it adds around each convolution.
    def channels_first(inputs: tf.Tensor, *values: tf.Tensor) -> list[tf.Tensor]:
        with keras.StatelessScope(state_mapping=list(zip(kernels.values(), values, strict=True))):
            answers = source(tf.transpose(inputs, [0, 2, 3, 1]), training=False)
        floats = [tf.cast(each, tf.float32) for each in answers]
        return [tf.transpose(each, [0, 3, 1, 2]) if each.shape.rank == 4 else each for each in floats]

    signature = [tf.TensorSpec([None, *shape], tf.float32, name="inputs")]
    signature += [tf.TensorSpec(each.shape, tf.float32, name=name) for name, each in kernels.items()]
    with plain_convolutions(), _quiet(), _without_copies():
        function = tf.function(channels_first, autograph=False)
        converted, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=opset)
    graph = converted.graph
    found = _take_marks(graph, added)
    found |= {name: graph.output[place].name for name, place in own.items() if place is not None}
    owners = {
        name: _kernel_node(graph, found[name]) for name in inner if hasattr(network.get_layer(name), "kernel")
    }
    graph = folded(graph, {name: np.asarray(each) for name, each in kernels.items()})
    left = {name for node in graph.node for name in (*node.input, *node.output)}
    return Part(
        graph,
        tuple(each.name for each in graph.input),
        tuple(each.name for each in graph.output),
        {layer: tensor for layer, tensor in found.items() if tensor in left},
        owners,
    )


def _kernel_node(graph: Any, tensor: str) -> str:
    """Returns the name of the Conv or MatMul node of the layer with the result `tensor`."""
    producers = {name: node for node in graph.node for name in node.output}
    node = producers[tensor]
    while node.op_type not in ("Conv", "MatMul", "Gemm"):
        node = producers[node.input[0]]  # bias or activation
    return str(node.name)


def _place(tensor: Any, outputs: Sequence[Any]) -> int | None:
    """Returns the index of a tensor in `outputs`, or None."""
    return next((place for place, each in enumerate(outputs) if each is tensor), None)


def _take_marks(graph: Any, layers: Sequence[str]) -> dict[str, str]:
    """Turns the added outputs into inner tensors, named like their layers where possible."""
    if not layers:
        return {}
    producers = {name: node for node in graph.node for name in node.output}
    own = [each.name for each in graph.output[: -len(layers)]]
    extra = [each.name for each in graph.output[-len(layers) :]]
    del graph.output[-len(layers) :]
    found = {}
    for layer, name in zip(layers, extra, strict=True):
        node = producers.get(name)
        while node is not None and node.op_type in ("Identity", "Transpose", "Reshape"):
            name = node.input[0]  # a copy that only serves the output
            node = producers.get(name)
        found[layer] = name
    used = {name for node in graph.node for name in node.input} | {*own}
    kept = [node for node in graph.node if used.intersection(node.output)]
    outer = {*own, *(each.name for each in graph.input)}
    names = {tensor: layer for layer, tensor in found.items() if tensor not in outer}
    for node in kept:
        node.input[:] = [names.get(each, each) for each in node.input]
        node.output[:] = [names.get(each, each) for each in node.output]
    del graph.node[:]
    graph.node.extend(kept)
    return {layer: names.get(tensor, tensor) for layer, tensor in found.items()}


@contextmanager
def _without_copies() -> Iterator[None]:
    """Makes errors of the converter's passes end the conversion.

    Otherwise each pass copies the network to fall back on and only logs errors, which costs half of the time.
    The environment variable takes effect by its presence, whatever its value.
    """
    before = os.environ.get(_CATCH_ERRORS)
    os.environ[_CATCH_ERRORS] = "FALSE"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CATCH_ERRORS]
        else:
            os.environ[_CATCH_ERRORS] = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the converter's log."""
    logger = logging.getLogger("tf2onnx")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
