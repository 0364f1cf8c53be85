"""Describes how channels pass through each layer type and which weight axes follow them.

A rule applies to a type and its subclasses. A custom layer that treats channels independently and has
no weights with a channel axis declares this with `keeps_channels = True`.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import keras
import numpy as np

from frcnn.pruning.channels import ChannelSpace

Axis: TypeAlias = Literal["in", "out", "whole"]
Shape: TypeAlias = tuple[int | None, ...]
Config: TypeAlias = dict[str, Any]

# Each output channel depends on all input channels, so zeroing a channel differs from removing it.
MIXING_ACTIVATIONS = {"softmax", "log_softmax", "sparsemax", "glu"}


class UnprunableError(Exception):
    """Channels cannot be traced through a layer. The message is a clause that gives the reason."""


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        layer: Layer that is called.
        inputs: Channels of each input.
        input_shapes: Shape of each input, `[B, ..., channels]`.
        output_shape: Shape of the output, `[B, ..., channels]`.
    """

    layer: keras.Layer
    inputs: tuple[np.ndarray, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape


def _unchanged(config: Config, outputs: int) -> None:
    """Leaves the configuration unchanged: it does not name the number of channels."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """Treatment of channels by a layer type.

    Attributes:
        flow: Function that returns the output channels of a call. It joins and pins channels as needed.
        axes: For each weight with channels, by name, what its last axes follow: the input's channels,
            the output's channels, or neither.
        has_filters: Whether the output channels are filters with a kernel that can be scored.
        resize: Function that sets the number of output channels in a configuration.
    """

    flow: Callable[[ChannelSpace, Call], np.ndarray]
    axes: Mapping[str, tuple[Axis, ...]] = dataclasses.field(default_factory=dict)
    has_filters: bool = False
    resize: Callable[[Config, int], None] = _unchanged


def rule_for(layer: object) -> Rule:
    """Returns the rule for a layer.

    Raises:
        UnprunableError: There is no rule, or the rule does not cover the layer's settings.
    """
    if getattr(layer, "data_format", None) == "channels_first":
        raise UnprunableError("its channels come first; only channels-last layers can be followed")
    if getattr(layer, "keeps_channels", False):
        return _PASS
    found = next((RULES[each] for each in type(layer).__mro__ if each in RULES), None)
    if found is None:
        raise UnprunableError("channels cannot be followed through this type of layer")
    _check_weights(layer, found)
    return found


def _check_weights(layer: Any, rule: Rule) -> None:
    for weight in layer.weights:
        if weight.name not in rule.axes and np.prod(weight.shape) > 1:
            raise UnprunableError(
                f"it is not known which channels its weight {weight.name} {tuple(weight.shape)} follows"
            )


def _pass(space: ChannelSpace, call: Call) -> np.ndarray:
    if len(call.inputs) != 1 or call.output_shape[-1] != call.inputs[0].size:
        raise UnprunableError("its output has other channels than its input")
    return call.inputs[0]


def _dropout(space: ChannelSpace, call: Call) -> np.ndarray:
    if (getattr(call.layer, "noise_shape", None) or [None])[-1] not in (None, 1):
        raise UnprunableError("its noise_shape fixes the number of channels")
    return _pass(space, call)


def _activation(space: ChannelSpace, call: Call) -> np.ndarray:
    _check_known(call.layer)
    if reason := _mixing(call.layer):
        raise UnprunableError(reason)
    return _pass(space, call)


def _normalization(space: ChannelSpace, call: Call) -> np.ndarray:
    axis = call.layer.axis
    if axis not in (-1, len(call.output_shape) - 1):
        raise UnprunableError(f"it normalizes along axis {axis}, which is not that of the channels")
    return _pass(space, call)


def _filters(attribute: str) -> Callable[[ChannelSpace, Call], np.ndarray]:
    def flow(space: ChannelSpace, call: Call) -> np.ndarray:
        if getattr(call.layer, "groups", 1) != 1:
            raise UnprunableError("its convolution is grouped")
        outputs = space.new(getattr(call.layer, attribute))
        _pin_mixing(space, call.layer, outputs)
        return outputs

    return flow


def _depthwise(space: ChannelSpace, call: Call) -> np.ndarray:
    outputs = np.repeat(call.inputs[0], call.layer.depth_multiplier)
    _pin_mixing(space, call.layer, outputs)
    return outputs


def _elementwise(space: ChannelSpace, call: Call) -> np.ndarray:
    size = call.output_shape[-1]
    # An input with one channel is broadcast to however many channels are left.
    full = [channels for channels in call.inputs if channels.size == size]
    if not full or any(channels.size not in (1, size) for channels in call.inputs):
        raise UnprunableError("its inputs do not have the same channels")
    for other in full[1:]:
        space.join(full[0], other)
    return full[0]


def _concatenate(space: ChannelSpace, call: Call) -> np.ndarray:
    rank = len(call.output_shape)
    if call.layer.axis % rank == rank - 1:
        return np.concatenate(call.inputs)
    return _elementwise(space, call)


def _refold(space: ChannelSpace, call: Call) -> np.ndarray:
    """Handles Flatten and Reshape: same values in the same order, cut into other rows."""
    channels, size = call.inputs[0], call.output_shape[-1]
    if size == channels.size:
        return channels
    if None in call.input_shapes[0][1:] or size is None:
        raise UnprunableError("it changes the shape of maps whose size is not fixed")
    rows = np.tile(channels, math.prod(side or 0 for side in call.input_shapes[0][1:-1])).reshape(-1, size)
    if not (rows == rows[0]).all():
        raise UnprunableError("its output's last axis mixes places and channels")
    return np.asarray(rows[0])


def _check_known(layer: Any) -> None:
    """Raises UnprunableError for an activation that is not one of Keras'."""
    name = _activation_name(layer)
    if getattr(keras.activations, name, None) is not layer.activation:
        raise UnprunableError(f"its activation {name} is not one of Keras', so it may mix channels")


def _mixing(layer: Any) -> str:
    """Returns why the activation mixes channels; empty if it works channel by channel."""
    name = _activation_name(layer)
    return f"its activation {name} mixes channels" if name in MIXING_ACTIVATIONS else ""


def _pin_mixing(space: ChannelSpace, layer: Any, outputs: np.ndarray) -> None:
    # The inputs can still lose channels, unlike those of an unknown activation.
    _check_known(layer)
    if reason := _mixing(layer):
        space.pin(outputs, layer.name, reason)


def _activation_name(layer: Any) -> str:
    return getattr(layer.activation, "__name__", type(layer.activation).__name__)


def _set_filters(config: Config, outputs: int) -> None:
    config["filters"] = outputs


def _set_units(config: Config, outputs: int) -> None:
    config["units"] = outputs


def _set_target(config: Config, outputs: int) -> None:
    *lead, last = config["target_shape"]
    config["target_shape"] = (*lead, -1 if last == -1 else outputs)


_LAYERS = keras.layers
_PASS = Rule(_pass)
_CONVOLUTION = Rule(_filters("filters"), {"kernel": ("in", "out"), "bias": ("out",)}, True, _set_filters)
_DENSE = Rule(_filters("units"), {"kernel": ("in", "out"), "bias": ("out",)}, True, _set_units)
_DEPTHWISE = Rule(_depthwise, {"kernel": ("in", "whole"), "bias": ("out",)}, True)
_NORMALIZATION = Rule(
    _normalization, dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), ("in",))
)

RULES: Mapping[type, Rule] = {
    **dict.fromkeys((_LAYERS.Conv1D, _LAYERS.Conv2D, _LAYERS.Conv3D), _CONVOLUTION),
    **dict.fromkeys((_LAYERS.DepthwiseConv1D, _LAYERS.DepthwiseConv2D), _DEPTHWISE),
    _LAYERS.Dense: _DENSE,
    _LAYERS.BatchNormalization: _NORMALIZATION,
    _LAYERS.Activation: Rule(_activation),
    _LAYERS.Dropout: Rule(_dropout),
    _LAYERS.Concatenate: Rule(_concatenate),
    _LAYERS.Flatten: Rule(_refold),
    _LAYERS.Reshape: Rule(_refold, resize=_set_target),
    **dict.fromkeys(
        (
            *(_LAYERS.Add, _LAYERS.Subtract, _LAYERS.Multiply),
            *(_LAYERS.Average, _LAYERS.Maximum, _LAYERS.Minimum),
        ),
        Rule(_elementwise),
    ),
    **dict.fromkeys(
        (
            *(_LAYERS.ReLU, _LAYERS.LeakyReLU, _LAYERS.ELU, _LAYERS.Identity),
            *(_LAYERS.GaussianDropout, _LAYERS.GaussianNoise),
            *(_LAYERS.MaxPooling1D, _LAYERS.MaxPooling2D, _LAYERS.MaxPooling3D),
            *(_LAYERS.AveragePooling1D, _LAYERS.AveragePooling2D, _LAYERS.AveragePooling3D),
            *(_LAYERS.GlobalMaxPooling1D, _LAYERS.GlobalMaxPooling2D, _LAYERS.GlobalMaxPooling3D),
            *(_LAYERS.GlobalAveragePooling1D, _LAYERS.GlobalAveragePooling2D, _LAYERS.GlobalAveragePooling3D),
            *(_LAYERS.ZeroPadding1D, _LAYERS.ZeroPadding2D, _LAYERS.ZeroPadding3D),
            *(_LAYERS.Cropping1D, _LAYERS.Cropping2D, _LAYERS.Cropping3D),
            *(_LAYERS.UpSampling1D, _LAYERS.UpSampling2D, _LAYERS.UpSampling3D),
        ),
        _PASS,
    ),
}
