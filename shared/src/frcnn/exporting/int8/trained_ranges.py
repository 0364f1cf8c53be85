"""Ranges that quantisation-aware training has learnt, and where they belong in an exported graph."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import numpy_helper

from frcnn.exporting.int8.qdq import channel_limits
from frcnn.exporting.onnx.from_keras import FEATURE_TENSORS, HEAD_TENSORS, Part
from frcnn.exporting.onnx.tensor_names import INPUT
from frcnn.model.faster_rcnn import FasterRCNN


@dataclasses.dataclass(frozen=True)
class TrainedRanges:
    """What training found, by the names of Keras layers.

    Attributes:
        activations: Largest magnitude of the layer's result. The networks' inputs are the layers
            `input_image` and `crops`.
        weights: Largest magnitude of each filter of the layer's kernel, float [filters].
    """

    activations: Mapping[str, float]
    weights: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def layers(self) -> set[str]:
        """Whose results and kernels have to be found in the graph."""
        return {*self.activations, *self.weights}

    def of_tensors(self, features: Part, head: Part) -> dict[str, tuple[float, float]]:
        """The ranges of activations by tensor of the joined graph.

        Args:
            features: Converted with `layers` as marks.
            head: Likewise.
        """
        joined: dict[str, tuple[float, float]] = {}
        for part, prefix, source, outputs in (
            (features, "bb/", INPUT, FEATURE_TENSORS),
            (head, "hd/", "crops", HEAD_TENSORS),
        ):
            outer = dict(zip((*part.inputs, *part.outputs), (source, *outputs), strict=True))
            for layer in self.activations.keys() & part.marks.keys():
                limit, tensor = float(self.activations[layer]), part.marks[layer]
                joined[outer.get(tensor, prefix + tensor)] = (-limit, limit)
        return joined

    def of_weights(self, model: FasterRCNN, features: Part, head: Part) -> dict[str, np.ndarray]:
        """The limits by node of the joined graph, float [channels].

        Folding batch normalisation into a convolution has stretched each filter and its limit alike.

        Args:
            model: That was converted; its kernels have the values that training rounded them to.
            features: Converted with `layers` as marks.
            head: Likewise.
        """
        joined: dict[str, np.ndarray] = {}
        for part, prefix, network in ((features, "bb/", model.features), (head, "hd/", model.roi_head)):
            for layer in self.weights.keys() & part.kernels.keys():
                limit = np.asarray(self.weights[layer], np.float32)
                kernel = np.asarray(network.get_layer(layer).kernel)
                before = np.abs(kernel.reshape(-1, len(limit))).max(axis=0)
                after = channel_limits(*_node_and_weights(part.graph, part.kernels[layer]))
                joined[prefix + part.kernels[layer]] = limit * after / np.where(before > 0.0, before, 1.0)
        return joined


def _node_and_weights(graph: Any, name: str) -> tuple[Any, np.ndarray]:
    node = next(each for each in graph.node if each.name == name)
    stored = next(each for each in graph.initializer if each.name == node.input[1])
    return node, numpy_helper.to_array(stored)
