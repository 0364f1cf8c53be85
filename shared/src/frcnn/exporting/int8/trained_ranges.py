"""Transfers ranges learned by quantization-aware training to an exported graph."""

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
    """Ranges learned in training, by names of Keras layers.

    Attributes:
        activations: Largest magnitude of each layer's result. The inputs of the networks are the layers
            `input_image` and `crops`.
        weights: Largest magnitude of each filter of a layer's kernel, float `[filters]`.
    """

    activations: Mapping[str, float]
    weights: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def layers(self) -> set[str]:
        """Names of the layers whose results and kernels must be located in the graph."""
        return {*self.activations, *self.weights}

    def of_tensors(self, features: Part, head: Part) -> dict[str, tuple[float, float]]:
        """Returns the ranges of activations by tensor of the joined graph.

        Args:
            features: Backbone and RPN, converted with `layers` as marks.
            head: Head, converted with `layers` as marks.

        Returns:
            Mapping from tensor name to (lowest, highest).
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
        """Returns the weight limits by node of the joined graph.

        Folding batch normalization into a convolution scales each filter and its limit alike.

        Args:
            model: Converted model; its kernels hold the values that training rounded them to.
            features: Backbone and RPN, converted with `layers` as marks.
            head: Head, converted with `layers` as marks.

        Returns:
            Mapping from node name to limits, float `[channels]`.
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
