"""The two networks of a detector as ONNX graphs, channels first, with nothing but layers in them."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from frcnn.export.folding import fold
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import plain_convolutions

LARGEST_OPSET = 18  # that the converter knows


@dataclasses.dataclass(frozen=True)
class Part:
    """A converted network: an ONNX GraphProto, and its inputs and outputs in the network's order."""

    graph: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def convert_features(model: FasterRCNN, opset: int) -> Part:
    """Image [B, C, H, W] -> feature map [B, D, h, w], scores [B, A, h, w], codes [B, 4A, h, w]."""
    geometry = model.geometry
    return _convert(model.features, (geometry.channels, geometry.height, geometry.width), opset)


def convert_head(model: FasterRCNN, opset: int) -> Part:
    """Crops [N, D, P, P] -> class probabilities [N, C + 1], codes [N, 4C]."""
    rows, columns, depth = model.roi_head.inputs[0].shape[1:]
    return _convert(model.roi_head, (depth, rows, columns), opset)


def _convert(network: keras.Model, shape: Sequence[int | None], opset: int) -> Part:
    import tf2onnx

    # The converter cancels the transpositions against those it puts round each convolution.
    def channels_first(inputs: tf.Tensor) -> list[tf.Tensor]:
        answers = network(tf.transpose(inputs, [0, 2, 3, 1]), training=False)
        floats = [tf.cast(each, tf.float32) for each in answers]
        return [tf.transpose(each, [0, 3, 1, 2]) if each.shape.rank == 4 else each for each in floats]

    signature = [tf.TensorSpec([None, *shape], tf.float32, name="inputs")]
    with plain_convolutions(), _quiet():
        function = tf.function(channels_first, autograph=False)
        converted, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=opset)
    graph = converted.graph
    fold(graph)
    return Part(graph, tuple(each.name for each in graph.input), tuple(each.name for each in graph.output))


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
