"""Assigns the layers of a file to a model by name; layers that do not fit keep their weights."""

import dataclasses
from collections.abc import Iterator, Mapping

import keras
import numpy as np

from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.training.pretrained.source import Source, SourceLayer
from frcnn.training.pretrained.status_table import LayerStatus


def assign(model: FasterRCNN, source: Source) -> list[LayerStatus]:
    """Assigns source layers whose names and shapes match those of the model.

    Args:
        model: Detector, changed in place.
        source: Layers of a file.

    Returns:
        Status of each layer of the model, in order.
    """
    layers = list(_layers_of(model))
    given = _settle_biases(layers, source.layers)
    return [_fill(layer, given.get(layer.name)) for layer in layers]


def _layers_of(model: FasterRCNN) -> Iterator[keras.Layer]:
    """Yields all layers of a detector except inputs, those of the backbone first."""
    for part in (model.features, model.roi_head):
        yield from (layer for layer in part.layers if not isinstance(layer, keras.layers.InputLayer))


def _fill(layer: keras.Layer, given: SourceLayer | None) -> LayerStatus:
    variables = {variable.name: variable for variable in layer.weights}
    kind = type(layer).__name__
    if not variables:
        return LayerStatus(layer.name, kind, "None")
    if given is None:
        return LayerStatus(layer.name, kind, "No", "not in the file")
    weights = given.weights
    if isinstance(layer, keras.layers.BatchNormalization):
        weights = _normalization(layer, given)
    reason = _mismatch(variables, weights)
    if reason:
        return LayerStatus(layer.name, kind, "No", reason)
    for name, variable in variables.items():
        variable.assign(weights[name])
    return LayerStatus(layer.name, kind, "Yes")


def _mismatch(variables: Mapping[str, keras.Variable], weights: Mapping[str, np.ndarray]) -> str:
    """Returns why the weights do not fit; empty if they do."""
    if variables.keys() != weights.keys():
        return f"has {', '.join(variables)}; the file has {', '.join(weights)}"
    for name, variable in variables.items():
        if tuple(variable.shape) != weights[name].shape:
            return f"{name} is {_shape(variable.shape)}; in the file {_shape(weights[name].shape)}"
        if not np.isfinite(weights[name]).all():
            return f"{name} in the file is not finite"
    return ""


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a scalar"


def _normalization(layer: keras.Layer, given: SourceLayer) -> dict[str, np.ndarray]:
    """Converts the weights of a normalization to the epsilon of the model's layer.

    The layer multiplies by gamma / sqrt(variance + epsilon). Scaling gamma by the ratio of both roots keeps
    this factor. It matters for small variances: a quarter of those of ImageNet's MobileNetV2 are below 1e-3.
    """
    weights = dict(given.weights)
    if "moving_mean" in weights:  # layers without scale or center have no such weights
        weights.setdefault("gamma", np.ones_like(weights["moving_mean"]))
        weights.setdefault("beta", np.zeros_like(weights["moving_mean"]))
    variance, gamma = weights.get("moving_variance"), weights.get("gamma")
    if given.epsilon is None or variance is None or gamma is None or variance.shape != gamma.shape:
        return weights
    with np.errstate(all="ignore"):  # an invalid variance gives non-finite values, which are rejected later
        weights["gamma"] = gamma * np.sqrt((variance + layer.epsilon) / (variance + given.epsilon))
    return weights


def _settle_biases(layers: list[keras.Layer], given: Mapping[str, SourceLayer]) -> dict[str, SourceLayer]:
    """Adapts biases to the model's convolutions without changing the function of the network.

    If the model's convolution has no bias, the bias moves to the normalization after it. A bias that the file
    lacks is zero.
    """
    settled = dict(given)
    for layer in layers:
        source = settled.get(layer.name)
        if source is None or not _is_convolution_of(layer, source):
            continue
        weights = dict(source.weights)
        if layer.use_bias and "bias" not in weights:
            weights["bias"] = np.zeros(layer.bias.shape, np.float32)
        elif not layer.use_bias and "bias" in weights:
            norm = _normalization_behind(layer)
            if norm is None or not _absorb(settled, norm, weights["bias"]):
                continue
            del weights["bias"]
        settled[layer.name] = dataclasses.replace(source, weights=weights)
    return settled


def _is_convolution_of(layer: keras.Layer, source: SourceLayer) -> bool:
    kernel = source.weights.get("kernel")
    convolutions = keras.layers.Conv2D | keras.layers.DepthwiseConv2D
    return (
        isinstance(layer, convolutions) and kernel is not None and kernel.shape == tuple(layer.kernel.shape)
    )


def _absorb(settled: dict[str, SourceLayer], norm: keras.Layer, bias: np.ndarray) -> bool:
    """Moves a bias into the source of a normalization; returns `False` if that is impossible."""
    source = settled.get(norm.name)
    if bias.shape != tuple(norm.moving_mean.shape):
        return False
    if source is None:
        # The file has no normalization here: add one that only adds the bias.
        ones, zeros = np.ones_like(bias), np.zeros_like(bias)
        weights = {"gamma": ones, "beta": bias, "moving_mean": zeros, "moving_variance": ones}
        settled[norm.name] = SourceLayer(weights, epsilon=0.0)
        return True
    mean = source.weights.get("moving_mean")
    if mean is None or mean.shape != bias.shape:
        return False
    settled[norm.name] = dataclasses.replace(source, weights={**source.weights, "moving_mean": mean - bias})
    return True


def _normalization_behind(layer: keras.Layer) -> keras.Layer | None:
    """Returns the batch normalization that is the only consumer of a linear convolution, if any."""
    readers = [node.operation for node in layer._outbound_nodes]
    if len(readers) != 1 or not isinstance(readers[0], keras.layers.BatchNormalization):
        return None
    return readers[0] if layer.activation is keras.activations.linear else None
