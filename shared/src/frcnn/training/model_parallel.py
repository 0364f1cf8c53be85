"""Spreads a detector over several devices, for models that are too large for one.

Only layers are assigned to devices; TensorFlow places proposals, targets, RoI pooling and NMS. The rule
is that of TAO's model parallelism.
"""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from frcnn.errors import UsageError
from frcnn.model.faster_rcnn import FasterRCNN


@dataclasses.dataclass(frozen=True)
class Placement:
    """Devices of the layers by layer name, for the backbone and the RoI head."""

    features: dict[str, str]
    roi_head: dict[str, str]


def plan_placement(model: FasterRCNN, fractions: Sequence[float], devices: Sequence[str]) -> Placement:
    """Assigns layers to devices in topological order, each device getting its fraction of them.

    Args:
        model: Detector. Its layers are counted in the order the image passes them, inputs included.
        fractions: Relative number of layers per device; only the ratios matter.
        devices: Device names such as `/GPU:0`, at least as many as fractions.

    Returns:
        Device of each layer.

    Raises:
        UsageError: There are fewer devices than fractions.
    """
    if len(devices) < len(fractions):
        raise UsageError(
            f"training_config.model_parallelism: {len(fractions)} fractions need as many devices, "
            f"found {len(devices)} ({', '.join(devices) or 'none'}). Remove fractions, or add GPUs."
        )
    networks = (model.features.layers, model.roi_head.layers)
    total = sum(map(len, networks))
    ends = [round(total * each / sum(fractions)) for each in itertools.accumulate(fractions)]
    order = itertools.count()
    placed = [
        {
            layer.name: devices[sum(number >= end for end in ends[:-1])]
            for layer, number in zip(each, order, strict=False)
        }
        for each in networks
    ]
    return Placement(*placed)


def spread(model: FasterRCNN, placement: Placement) -> FasterRCNN:
    """Copies a detector so that its variables and computations are on the given devices.

    Names, weights and configuration stay the same, so the saved file does not depend on the placement.
    Gradients are computed on the devices of their layers.

    Args:
        model: Detector.
        placement: Device of each layer.

    Returns:
        Detector with `spread` set.
    """
    parts = [
        keras.models.clone_model(network, clone_function=functools.partial(_pinned, devices))
        for network, devices in ((model.features, placement.features), (model.roi_head, placement.roi_head))
    ]
    placed = FasterRCNN(parts[0], parts[1], model.geometry, name=model.name)
    placed.set_weights(model.get_weights())
    placed.spread = True
    return placed


def build_on_variable_devices(
    optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]
) -> None:
    """Builds an optimizer that keeps state and updates on the devices of the variables.

    Args:
        optimizer: Optimizer, not yet built.
        variables: Trainable variables of the spread model.
    """
    for name in ("add_variable_from_reference", "update_step"):
        setattr(optimizer, name, _on_variable_device(getattr(optimizer, name)))
    optimizer.build(variables)


def _on_variable_device(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a method to run on the device of the first variable among its arguments."""

    @functools.wraps(method)
    def pinned(*args: Any, **options: Any) -> Any:
        given = (*args, *options.values())
        variable = next((each for each in given if isinstance(each, keras.Variable)), None)
        with contextlib.nullcontext() if variable is None else tf.device(variable.value.device):
            return method(*args, **options)

    return pinned


def _pinned(devices: dict[str, str], layer: keras.Layer) -> keras.Layer:
    """Copies a layer so that it creates its weights and computes on its device."""
    copy = type(layer).from_config(layer.get_config())
    device = devices[layer.name]
    for name in ("build", "call"):
        setattr(copy, name, _on(device, getattr(copy, name)))
    return copy


def _on(device: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def pinned(*args: Any, **options: Any) -> Any:
        with tf.device(device):
            return method(*args, **options)

    return pinned
