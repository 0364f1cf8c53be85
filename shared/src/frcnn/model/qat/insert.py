"""Converts float detectors to quantization-aware training, and back for export."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import KerasTensor

from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.keras_graph import copy_variables, producer_layer, rebuild
from frcnn.model.layers import Conv2D
from frcnn.model.qat.layers import QDQ, QuantizedConv2D, QuantizedDense, QuantizedDepthwiseConv2D
from frcnn.model.qat.rounding_points import MOVES, Places, RoundingPoint

log = logging.getLogger(__name__)

QUANTIZED: Mapping[type[keras.Layer], type[keras.Layer]] = {
    Conv2D: QuantizedConv2D,
    keras.layers.DepthwiseConv2D: QuantizedDepthwiseConv2D,
    keras.layers.Dense: QuantizedDense,
}
_PLAIN = {quantized: plain for plain, quantized in QUANTIZED.items()}
_QUANTIZED_TYPES: tuple[Any, ...] = tuple(_PLAIN)


@dataclasses.dataclass(frozen=True)
class Unquantized:
    """Float model and ranges from a QAT model, for export.

    Attributes:
        model: Float model; its kernels have the rounded values.
        tensor_scales: Largest magnitude of activations found in training, by the name of the layer of `model`
            that outputs them, in the order of computation. The inputs are the layers `input_image` and
            `crops`. Outputs that are not rounded are left out.
        weight_limits: Largest magnitude of each filter's weights by layer, float32 `[filters]`; a weight is
            an integer from -127 to 127 times limit / 127.
    """

    model: FasterRCNN
    tensor_scales: dict[str, float]
    weight_limits: dict[str, np.ndarray]


def is_qat(model: FasterRCNN) -> bool:
    """Checks whether a detector is a QAT model, which rounds what an INT8 engine rounds."""
    return any(isinstance(layer, QDQ) for part in (model.features, model.roi_head) for layer in part.layers)


def to_qat(model: FasterRCNN, *, per_channel: bool = False) -> FasterRCNN:
    """Creates a detector with the same weights that rounds kernels and activations to 8 bits.

    Args:
        model: Float detector, pruned or not; it is not modified.
        per_channel: Whether each filter of a kernel has its own range.

    Returns:
        The QAT model.

    Raises:
        ValueError: `model` is already a QAT model.
    """
    if is_qat(model):
        raise ValueError("the model is quantized already")
    # Only the feature map is the input of further layers.
    features = _quantize(model.features, model.features.outputs[1:], per_channel)
    roi_head = _quantize(model.roi_head, model.roi_head.outputs, per_channel)
    return FasterRCNN(features, roi_head, model.geometry, name=model.name)


def from_qat(model: FasterRCNN) -> Unquantized:
    """Extracts the float detector and the learned ranges from a QAT model.

    Args:
        model: QAT model; it is not modified.

    Returns:
        The float detector and the ranges.
    """
    scales: dict[str, float] = {}
    limits: dict[str, np.ndarray] = {}
    features, roi_head = (_strip(part, scales, limits) for part in (model.features, model.roi_head))
    return Unquantized(FasterRCNN(features, roi_head, model.geometry, name=model.name), scales, limits)


def set_per_channel(model: FasterRCNN, per_channel: bool) -> None:
    """Sets whether each filter of a QAT model's kernels has its own range.

    Args:
        model: QAT model, which is modified.
        per_channel: Whether each filter of a kernel has its own range.
    """
    for part in (model.features, model.roi_head):
        for layer in part.layers:
            if isinstance(layer, _QUANTIZED_TYPES):
                layer.per_channel = per_channel


def _quantize(network: keras.Model, answers: list[KerasTensor], per_channel: bool) -> keras.Model:
    places = Places(network, answers)
    fresh: dict[str, keras.Layer] = {}

    def connect(node: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        layer, place = node.operation, places.of(node)
        if layer.name not in fresh:
            linear = place is RoundingPoint.ROUND_ACTIVATION
            fresh[layer.name] = _quantized(layer, per_channel, linear=linear)
        result = fresh[layer.name](*arguments, **options)
        if place is RoundingPoint.NOWHERE:
            return result
        activation = getattr(layer, "activation", None)
        inside = activation not in (None, keras.activations.linear) and type(layer) in QUANTIZED
        name = f"{layer.name}_act" if inside else layer.name
        if place is RoundingPoint.ROUND_ACTIVATION:
            result = _rounded(result, layer.name)
            result = keras.layers.Activation(activation, name=name)(result)
        return _rounded(result, name)

    made = rebuild(network, connect, lambda tensor: _rounded(tensor, producer_layer(tensor).name))
    for layer in network.layers:
        if layer.name in fresh:
            copy_variables(layer, fresh[layer.name])
    return made


def _rounded(tensor: KerasTensor, name: str) -> KerasTensor:
    return QDQ(name=f"{name}_qdq")(tensor)


def _quantized(layer: keras.Layer, per_channel: bool, *, linear: bool) -> keras.Layer:
    """Creates the QAT version of a layer; `linear` removes the activation."""
    config, kind = layer.get_config(), QUANTIZED.get(type(layer))
    if kind is None:
        if hasattr(layer, "kernel"):
            log.warning("Layer %s (%s): the kernel is not quantized", layer.name, type(layer).__name__)
        return type(layer).from_config(config)
    if linear:
        config["activation"] = "linear"
    return kind.from_config({**config, "per_channel": per_channel})


def _strip(network: keras.Model, scales: dict[str, float], limits: dict[str, np.ndarray]) -> keras.Model:
    fresh: dict[str, keras.Layer] = {}
    known: dict[int, float] = {}  # by tensor of `network`

    def connect(node: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        layer, source, result = node.operation, node.input_tensors[0], node.outputs[0]
        if isinstance(layer, QDQ):
            known[id(result)] = float(layer.scaling_factor)
            scales[producer_layer(source).name] = known[id(result)]
            return arguments[0]
        if isinstance(layer, MOVES) and id(source) in known:
            scales[layer.name] = known[id(result)] = known[id(source)]
        if layer.name not in fresh:
            fresh[layer.name] = _plain(layer)
        return fresh[layer.name](*arguments, **options)

    made = rebuild(network, connect)
    for layer in network.layers:
        if layer.name in fresh:
            copy_variables(layer, fresh[layer.name])
        if isinstance(layer, _QUANTIZED_TYPES):
            fresh[layer.name].kernel.assign(layer.effective_kernel())
            filters = layer.kernel.shape[-layer.filter_axes :]
            limits[layer.name] = np.broadcast_to(
                np.asarray(layer.limits()).reshape(-1 if layer.per_channel else ()), (int(np.prod(filters)),)
            ).copy()
    return made


def _plain(layer: keras.Layer) -> keras.Layer:
    """Creates the float layer for a QAT layer."""
    config, kind = layer.get_config(), _PLAIN.get(type(layer))
    if kind is None:
        return type(layer).from_config(config)
    del config["per_channel"]
    return kind.from_config(config)
