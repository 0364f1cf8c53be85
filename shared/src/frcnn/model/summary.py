"""Summarizes a detector: layers, shapes, parameters, operations and memory.

Operations are those of convolutions and dense layers for one image; a multiply-add counts as two. The
remaining operations (normalization, activations, box arithmetic) amount to a few percent.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import keras

from frcnn.model.faster_rcnn import FasterRCNN

# Weights, gradients and optimizer state are float32.
_BYTES = 4
# Prefix of the names of the RPN's layers.
_RPN_PREFIX = "rpn_"


@dataclasses.dataclass(frozen=True)
class LayerSummary:
    """Summary of one layer.

    Attributes:
        part: `backbone`, `RPN` or `head`.
        name: Name in the model file.
        kind: Class of the layer.
        shape: Shape of its first output, without the batch axis.
        params: Number of parameters, including moving statistics.
        flops: Number of operations per image, for all RoIs together.
        values: Number of output values per image.
        trainable: Whether the layer has weights and is trainable.
    """

    part: str
    name: str
    kind: str
    shape: tuple[int, ...]
    params: int
    flops: int
    values: int
    trainable: bool


@dataclasses.dataclass(frozen=True)
class ModelSummary:
    """Summary of a detector.

    Attributes:
        layers: Summaries of all layers, in order.
        rois: Number of RoIs per image that the head is counted for.
    """

    layers: tuple[LayerSummary, ...]
    rois: int

    def total(self, field: str, part: str | None = None) -> int:
        """Sums a figure over a part or over all layers.

        Args:
            field: `params`, `flops` or `values`.
            part: `backbone`, `RPN` or `head`; None for all.

        Returns:
            The sum.
        """
        return sum(getattr(each, field) for each in self.layers if part in (None, each.part))

    def training_bytes(self, batch: int, slots: int) -> int:
        """Estimates the memory of a training step: outputs, weights, gradients and optimizer state.

        Args:
            batch: Number of images.
            slots: Number of optimizer values per weight: 1 for SGD with momentum, 2 for Adam.

        Returns:
            Estimated memory, bytes.
        """
        return _BYTES * (batch * self.total("values") + self.total("params") * (2 + slots))

    def inference_bytes(self, batch: int) -> int:
        """Estimates the memory of inference: weights, and input and output of the largest layer.

        Args:
            batch: Number of images.

        Returns:
            Estimated memory, bytes.
        """
        sizes = [each.values for each in self.layers]
        largest = max((first + second for first, second in itertools.pairwise(sizes)), default=0)
        return _BYTES * (batch * largest + self.total("params"))


def summarize(model: FasterRCNN, rois: int) -> ModelSummary:
    """Summarizes a detector of fixed input size.

    Args:
        model: Detector.
        rois: Number of RoIs per image.

    Returns:
        The summary.
    """
    features = [_layer(layer, _part(layer), runs=1) for layer in model.features.layers]
    head = [_layer(layer, "head", runs=rois) for layer in model.roi_head.layers]
    return ModelSummary((*features, *head), rois)


def _part(layer: keras.Layer) -> str:
    return "RPN" if layer.name.startswith(_RPN_PREFIX) else "backbone"


def _layer(layer: keras.Layer, part: str, runs: int) -> LayerSummary:
    output = layer.output[0] if isinstance(layer.output, list | tuple) else layer.output
    shape = tuple(output.shape[1:])
    return LayerSummary(
        part=part,
        name=layer.name,
        kind=type(layer).__name__,
        shape=shape,
        params=layer.count_params(),
        flops=runs * _flops(layer, shape),
        values=runs * math.prod(shape),
        trainable=layer.trainable and bool(layer.weights),
    )


def _flops(layer: keras.Layer, shape: Sequence[int]) -> int:
    """Counts two operations per kernel value and output position, also for depthwise kernels."""
    kernel = getattr(layer, "kernel", None)
    return 0 if kernel is None else 2 * math.prod(kernel.shape) * math.prod(shape[:-1])
