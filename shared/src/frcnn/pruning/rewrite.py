"""The narrower networks that a plan describes: same layers, names and order, fewer channels."""

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
    """New networks with the channels that stay; the given ones are left as they were.

    Args:
        networks: What `graph` was traced from.
        graph: Their channels.
        plan: Which of them stay.
    """
    narrower: list[keras.Model] = []
    for part, network in enumerate(networks):
        entries = {each.layer.name: each for each in graph.layers if each.part == part}
        inputs = [_input(tensor) for tensor in network.inputs]
        if narrower:
            # The feature map's depth, which may have shrunk, is that of what is fed on.
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
    """A new layer of the same configuration but for the number of its channels."""
    layer = entry.layer
    try:
        config = layer.get_config()
        # Random numbers that weights replace at once cost time, and several times a layer's memory.
        config |= {key: "zeros" for key in config if key.endswith(_INITIALIZER) and config[key] is not None}
        if entry.rule is not None:
            entry.rule.resize(config, plan.count(entry.outputs))
        return type(layer).from_config(config)
    except (TypeError, ValueError, NotImplementedError) as error:
        if entry.rule is not None:
            raise ModelError(
                f"layer {layer.name}: cannot be made anew with fewer channels: {error}"
            ) from error
        # Nothing about it changes, so it can serve both networks.
        log.debug("layer %s cannot be made anew from its configuration; it is used itself", layer.name)
        return layer


def _restore_initializers(layer: keras.Layer, made: keras.Layer) -> None:
    for name in layer.get_config():
        if name.endswith(_INITIALIZER):
            setattr(made, name, getattr(layer, name))


def _copy_weights(entry: LayerChannels, target: keras.Layer, plan: Plan) -> None:
    """Fills the new layer's weights, and other state such as seeds, with what stays of the old one's."""
    if target is entry.layer:
        return
    for old, new in zip(entry.layer.variables, target.variables, strict=True):
        values = np.asarray(old.value)
        for axis, channels in enumerate(weight_axes(entry, old.name, values.ndim)):
            if channels is not None:
                places = plan.places(channels)
                values = values if places.size == channels.size else np.take(values, places, axis)
        new.assign(values)
