"""The two networks of a detector as ONNX graphs, channels first, with nothing but layers in them."""

import dataclasses
import gc
import logging
import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from onnx import numpy_helper

from frcnn.exporting.onnx.folding import fold
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import plain_convolutions

LARGEST_OPSET = 18  # that the converter knows
# What the parts' outputs are called in the joined graphs.
FEATURE_TENSORS = ("features", "rpn_scores", "rpn_codes")
HEAD_TENSORS = ("class_probabilities", "box_codes")
_CATCH_ERRORS = "TF2ONNX_CATCH_ERRORS"
_LARGE_CONSTANT = 2**22  # numbers; the kernels of VGG's dense layers are up to 100 million


@dataclasses.dataclass(frozen=True)
class Part:
    """A converted network: an ONNX GraphProto, and its inputs and outputs in the network's order.

    For the layers that were asked for, `marks` has the tensor that is the layer's result, and `kernels` the
    node that multiplies with its kernel.
    """

    graph: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    marks: Mapping[str, str] = dataclasses.field(default_factory=dict)
    kernels: Mapping[str, str] = dataclasses.field(default_factory=dict)


def convert_features(model: FasterRCNN, opset: int, marks: Collection[str] = ()) -> Part:
    """Image [B, C, H, W] -> feature map [B, D, h, w], scores [B, A, h, w], codes [B, 4A, h, w].

    Args:
        model: The detector.
        opset: Of the graph.
        marks: Layers, of this network or not, whose results and kernels are to be found again; a result
            that is gone in the graph, such as a convolution's before its normalisation, is left out.
    """
    geometry = model.geometry
    return _convert(model.features, (geometry.channels, geometry.height, geometry.width), opset, marks)


def convert_head(model: FasterRCNN, opset: int, marks: Collection[str] = ()) -> Part:
    """Crops [N, D, P, P] -> class probabilities [N, C + 1], codes [N, 4C]; arguments as above."""
    rows, columns, depth = model.roi_head.inputs[0].shape[1:]
    return _convert(model.roi_head, (depth, rows, columns), opset, marks)


def _convert(network: keras.Model, shape: Sequence[int | None], opset: int, marks: Collection[str]) -> Part:
    import tf2onnx

    # A flattened tensor among the outputs would keep its shape from being constant.
    inner = {
        each.name: each.output
        for each in network.layers
        if each.name in marks and not isinstance(each, keras.layers.Flatten | keras.layers.Reshape)
    }
    own = {name: _place(tensor, network.outputs) for name, tensor in inner.items()}
    added = [name for name, place in own.items() if place is None]
    outputs = [*network.outputs, *(inner[name] for name in added)]
    source = keras.Model(network.inputs, outputs) if added else network

    # The converter copies constants again and again: the large ones come as inputs and are put back later.
    large = {
        f"large_{index}": each
        for index, each in enumerate(network.weights)
        if math.prod(each.shape) >= _LARGE_CONSTANT and len(each.shape) == 2
    }

    # The converter cancels the transpositions against those it puts round each convolution.
    def channels_first(inputs: tf.Tensor, *values: tf.Tensor) -> list[tf.Tensor]:
        with keras.StatelessScope(state_mapping=list(zip(large.values(), values, strict=True))):
            answers = source(tf.transpose(inputs, [0, 2, 3, 1]), training=False)
        floats = [tf.cast(each, tf.float32) for each in answers]
        return [tf.transpose(each, [0, 3, 1, 2]) if each.shape.rank == 4 else each for each in floats]

    signature = [tf.TensorSpec([None, *shape], tf.float32, name="inputs")]
    signature += [tf.TensorSpec(each.shape, tf.float32, name=name) for name, each in large.items()]
    with plain_convolutions(), _quiet(), _without_copies():
        function = tf.function(channels_first, autograph=False)
        converted, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=opset)
    graph = converted.graph
    gc.collect()  # the converter leaves cycles behind, with dozens of copies of the weights
    found = _take_marks(graph, added)
    found |= {name: graph.output[place].name for name, place in own.items() if place is not None}
    kernels = {
        name: _kernel_node(graph, found[name]) for name in inner if hasattr(network.get_layer(name), "kernel")
    }
    _put_back(graph, large)
    fold(graph)
    left = {name for node in graph.node for name in (*node.input, *node.output)}
    return Part(
        graph,
        tuple(each.name for each in graph.input),
        tuple(each.name for each in graph.output),
        {layer: tensor for layer, tensor in found.items() if tensor in left},
        kernels,
    )


def _kernel_node(graph: Any, tensor: str) -> str:
    """The name of the Conv or MatMul that the layer with the result `tensor` comes down to."""
    producers = {name: node for node in graph.node for name in node.output}
    node = producers[tensor]
    while node.op_type not in ("Conv", "MatMul", "Gemm"):
        node = producers[node.input[0]]  # bias or activation
    return str(node.name)


def _place(tensor: Any, outputs: Sequence[Any]) -> int | None:
    """Which of `outputs` the tensor is."""
    return next((place for place, each in enumerate(outputs) if each is tensor), None)


def _take_marks(graph: Any, layers: Sequence[str]) -> dict[str, str]:
    """Makes inner tensors of the outputs behind the network's own, called like their layers if need be."""
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
            name = node.input[0]  # a copy made for the sake of the output
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


def _put_back(graph: Any, constants: Mapping[str, Any]) -> None:
    """Makes constants of the graph's inputs that are named like them."""
    inputs = [each for each in graph.input if each.name not in constants]
    for name in (each.name for each in graph.input if each.name in constants):
        graph.initializer.append(numpy_helper.from_array(np.asarray(constants[name]), name))
    del graph.input[:]
    graph.input.extend(inputs)


@contextmanager
def _without_copies() -> Iterator[None]:
    """Lets a fault of the converter's passes end the conversion.

    Otherwise each pass begins with a copy of the network to fall back on, and a fault is only logged: for
    EfficientNet-B5 that is 4 GiB and half of the time. The variable counts by being there, whatever it holds.
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
    """Without the converter's account of what it does."""
    logger = logging.getLogger("tf2onnx")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
