"""Builds the narrower networks of a plan: same layers, names and order, fewer channels."""

import logging
from collections.abc import Sequence

import keras
import numpy as np
from keras import KerasTensor

from frcnn.errors import ModelError
from frcnn.pruning.cost import weight_axes
from frcnn.pruning.graph import ChannelGraph, LayerChannels
from frcnn.pruning.plan import Plan

log = logging.getLogger(__name__)

_INITIALIZER = "_initializer"


def rewrite(networks: Sequence[keras.Model], graph: ChannelGraph, plan: Plan) -> list[keras.Model]:
    """Builds new networks with the kept channels. The given networks are not changed.

    Args:
        networks: Networks that `graph` was traced from.
        graph: Traced channels.
        plan: Channels to keep.

    Returns:
        The narrower networks.
    """
    narrower: list[keras.Model] = []
    for part, network in enumerate(networks):
        entries = {each.layer.name: each for each in graph.layers if each.part == part}
        inputs = [_input(tensor) for tensor in network.inputs]
        if narrower:
            # The previous network's output may have fewer channels now.
            inputs[0] = _input(network.inputs[0], narrower[-1].outputs[0].shape[-1])
        narrower.append(_narrow(network, inputs, entries, plan))
    return narrower


def _narrow(
    network: keras.Model, inputs: list[KerasTensor], entries: dict[str, LayerChannels], plan: Plan
) -> keras.Model:
    def clone(layer: object) -> object:
        return _clone(entries[layer.name], plan) if isinstance(layer, keras.Layer) else layer

    structured = keras.tree.pack_sequence_as(network.input, inputs)
    made = keras.models.clone_model(network, input_tensors=structured, clone_function=clone)
    for name, entry in entries.items():
        _copy_weights(entry, made.get_layer(name), plan)
        _restore_initializers(entry.layer, made.get_layer(name))
    return made


def _input(tensor: KerasTensor, depth: int | None = None) -> KerasTensor:
    shape = tensor.shape if depth is None else (*tensor.shape[:-1], depth)
    return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=tensor._keras_history.operation.name)


def _clone(entry: LayerChannels, plan: Plan) -> keras.Layer:
    """Creates a layer with the same configuration except for the number of channels."""
    layer = entry.layer
    try:
        config = layer.get_config()
        # The initial values are replaced at once. Random ones would cost time and several times the memory.
        config |= {key: "zeros" for key in config if key.endswith(_INITIALIZER) and config[key] is not None}
        if entry.rule is not None:
            entry.rule.resize(config, plan.count(entry.outputs))
        return type(layer).from_config(config)
    except (TypeError, ValueError, NotImplementedError) as error:
        if entry.rule is not None:
            raise ModelError(
                f"layer {layer.name} cannot be recreated with fewer channels: {error}"
            ) from error
        # The layer does not change, so both networks can share it.
        log.debug("Layer %s cannot be recreated from its configuration. Sharing it.", layer.name)
        return layer


def _restore_initializers(layer: keras.Layer, made: keras.Layer) -> None:
    for name in layer.get_config():
        if name.endswith(_INITIALIZER):
            setattr(made, name, getattr(layer, name))


def _copy_weights(entry: LayerChannels, target: keras.Layer, plan: Plan) -> None:
    """Copies the kept part of all weights and other state, such as seeds."""
    if target is entry.layer:
        return
    for old, new in zip(entry.layer.variables, target.variables, strict=True):
        values = np.asarray(old.value)
        for axis, channels in enumerate(weight_axes(entry, old.name, values.ndim)):
            if channels is not None:
                places = plan.places(channels)
                values = values if places.size == channels.size else np.take(values, places, axis)
        new.assign(values)
