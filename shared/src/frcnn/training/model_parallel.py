"""A detector spread over several devices: which layer goes where, and layers that compute there.

For models that are too large for one device. Only layers are placed; proposals, targets, RoI pooling and
NMS run where TensorFlow puts them. Source of the rule: the reference's model parallelism.
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
    """The device of each layer by name, for the first network and for the head."""

    features: dict[str, str]
    roi_head: dict[str, str]


def plan_placement(model: FasterRCNN, fractions: Sequence[float], devices: Sequence[str]) -> Placement:
    """The first layers in topological order on the first device, and so on, as many as its fraction says.

    Args:
        model: Its networks in the order the image passes them, inputs counted as layers.
        fractions: Of all layers, for each device; only their ratios count.
        devices: Names such as `/GPU:0`, at least as many as fractions.

    Raises:
        UsageError: There are fewer devices than fractions.
    """
    if len(devices) < len(fractions):
        raise UsageError(
            f"training_config.model_parallelism: {len(fractions)} fractions need as many devices, "
            f"found {len(devices)} ({', '.join(devices) or 'none'}); leave fractions out, or add GPUs"
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
    """The same detector with its variables and computations on the devices of `placement`.

    Names, weights and configuration stay: what is saved is as if nothing was placed. Gradients are
    computed beside the layers they belong to.
    """
    parts = [
        keras.models.clone_model(network, clone_function=functools.partial(_pinned, devices))
        for network, devices in (
            (model.features, placement.features),
            (model.roi_head, placement.roi_head),
        )
    ]
    placed = FasterRCNN(parts[0], parts[1], model.geometry, name=model.name)
    placed.set_weights(model.get_weights())
    placed.spread = True
    return placed


def build_beside(optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]) -> None:
    """Builds an optimizer whose state and updates are on the devices of the variables they belong to."""
    for name in ("add_variable_from_reference", "update_step"):
        setattr(optimizer, name, _beside(getattr(optimizer, name)))
    optimizer.build(variables)


def _beside(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, run on the device of the first variable among its arguments."""

    @functools.wraps(method)
    def pinned(*args: Any, **options: Any) -> Any:
        given = (*args, *options.values())
        variable = next((each for each in given if isinstance(each, keras.Variable)), None)
        with contextlib.nullcontext() if variable is None else tf.device(variable.value.device):
            return method(*args, **options)

    return pinned


def _pinned(devices: dict[str, str], layer: keras.Layer) -> keras.Layer:
    """A copy of a layer that makes its weights and computes on its device."""
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
