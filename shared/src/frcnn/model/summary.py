"""What a detector consists of and costs: layers, shapes, parameters, operations, memory.

Operations are those of convolutions and dense layers for one image, a multiply-add counting as two; what
is left out (normalisation, activations, box arithmetic) is a few per cent.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import keras

from frcnn.model.faster_rcnn import FasterRCNN

# float32: what weights, gradients and optimizer state are kept in.
_BYTES = 4
# Layers from here on belong to the RPN.
_RPN_PREFIX = "rpn_"


@dataclasses.dataclass(frozen=True)
class LayerSummary:
    """One layer.

    Attributes:
        part: `backbone`, `RPN` or `head`.
        name: As in the model file.
        kind: Its class.
        shape: Of one output, without the batch; of the first, if there are several.
        params: Numbers in all of its weights, moving statistics included.
        flops: For one image, all RoIs together.
        values: Numbers it puts out for one image.
        trainable: Whether it learns.
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
    """All layers in order; `rois` an image were counted for the head."""

    layers: tuple[LayerSummary, ...]
    rois: int

    def total(self, field: str, part: str | None = None) -> int:
        """The sum of `params`, `flops` or `values` over a part, or over all."""
        return sum(getattr(each, field) for each in self.layers if part in (None, each.part))

    def training_bytes(self, batch: int, slots: int) -> int:
        """An estimate for a batch: outputs kept for the backward pass, weights, gradients and optimizer.

        Args:
            batch: Images.
            slots: Numbers the optimizer keeps for each weight: SGD with momentum 1, Adam 2.
        """
        return _BYTES * (batch * self.total("values") + self.total("params") * (2 + slots))

    def inference_bytes(self, batch: int) -> int:
        """An estimate for a batch: weights, and the largest layer's input and output."""
        sizes = [each.values for each in self.layers]
        largest = max((first + second for first, second in itertools.pairwise(sizes)), default=0)
        return _BYTES * (batch * largest + self.total("params"))


def summarise(model: FasterRCNN, rois: int) -> ModelSummary:
    """The summary of a detector of fixed input size, with `rois` RoIs an image."""
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
    """Each kernel's number is used once at each place of the output: true of depthwise ones too."""
    kernel = getattr(layer, "kernel", None)
    return 0 if kernel is None else 2 * math.prod(kernel.shape) * math.prod(shape[:-1])
