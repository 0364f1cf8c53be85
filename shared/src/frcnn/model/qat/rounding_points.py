"""Determines after which layers quantization-aware training rounds activations."""

import enum
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import keras
from keras import KerasTensor

from frcnn.model.keras_graph import calls_of, producer_layer

_LAYERS = keras.layers
CONVOLUTIONS = (_LAYERS.Conv2D, _LAYERS.DepthwiseConv2D)
# Layers whose outputs are input values or zeros: already rounded, and within the same range.
MOVES = (
    *(_LAYERS.ZeroPadding2D, _LAYERS.Cropping2D, _LAYERS.MaxPooling2D, _LAYERS.Flatten, _LAYERS.Reshape),
    *(_LAYERS.Permute, _LAYERS.Dropout, _LAYERS.Identity),
)


class RoundingPoint(enum.Enum):
    """Rounding of a layer's output.

    Attributes:
        NOWHERE: The output is not rounded.
        AFTER: The output is rounded.
        ROUND_ACTIVATION: The output is rounded before and after the layer's activation.
    """

    NOWHERE = enum.auto()
    AFTER = enum.auto()
    ROUND_ACTIVATION = enum.auto()


class Places:
    """Rounding points of one network."""

    def __init__(self, network: keras.Model, answers: Iterable[KerasTensor]) -> None:
        """Analyzes a network.

        Args:
            network: Functional model.
            answers: Outputs that are inputs of box arithmetic, which is never rounded.
        """
        self._answers = {id(tensor) for tensor in answers}
        self._readers: dict[int, list[Any]] = defaultdict(list)
        for node in calls_of(network):
            for tensor in node.input_tensors:
                self._readers[id(tensor)].append(node.operation)
        for tensor in network.outputs:
            self._readers[id(tensor)].append(None)

    def of(self, node: Any) -> RoundingPoint:
        """Returns the rounding point for a call of a layer."""
        layer, result = node.operation, node.outputs[0]
        if id(result) in self._answers or isinstance(layer, MOVES):
            return RoundingPoint.NOWHERE
        if isinstance(layer, (*CONVOLUTIONS, _LAYERS.Dense)):
            return self._of_kernel(layer, result)
        after_convolution = isinstance(producer_layer(node.input_tensors[0]), CONVOLUTIONS)
        if isinstance(layer, _LAYERS.BatchNormalization) and after_convolution and self._feeds_relu(result):
            return RoundingPoint.NOWHERE  # engines fuse the three layers
        return RoundingPoint.AFTER

    def _of_kernel(self, layer: Any, result: KerasTensor) -> RoundingPoint:
        convolves = isinstance(layer, CONVOLUTIONS)
        if layer.activation is keras.activations.linear:
            reader = self._only_reader(result)
            fused = isinstance(reader, _LAYERS.BatchNormalization) or is_relu(reader)
            return RoundingPoint.NOWHERE if convolves and fused else RoundingPoint.AFTER
        if convolves and layer.activation is keras.activations.relu:
            return RoundingPoint.AFTER
        return RoundingPoint.ROUND_ACTIVATION

    def _feeds_relu(self, tensor: KerasTensor) -> bool:
        return is_relu(self._only_reader(tensor))

    def _only_reader(self, tensor: KerasTensor) -> Any:
        readers = self._readers[id(tensor)]
        return readers[0] if len(readers) == 1 else None


def is_relu(layer: Any) -> bool:
    """Checks whether a layer is only a ReLU."""
    activation = getattr(layer, "activation", None)
    return isinstance(layer, _LAYERS.ReLU) or (
        isinstance(layer, _LAYERS.Activation) and activation is keras.activations.relu
    )
