"""Rebuilds functional networks call by call, with replaced or additional layers."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import KerasTensor

# Makes a call of the old network in the new one, given the call and its new arguments.
Connect = Callable[[Any, tuple[Any, ...], dict[str, Any]], KerasTensor | list[KerasTensor]]


def calls_of(network: keras.Model) -> Iterator[Any]:
    """Yields the calls of a network's layers in the order of computation.

    Args:
        network: Functional model.

    Yields:
        Keras nodes, without those of inputs.
    """
    # Keras has no public API for the calls of layers; its own cloning also iterates over these nodes.
    for depth in sorted(network._nodes_by_depth, reverse=True):
        yield from (node for node in network._nodes_by_depth[depth] if not node.is_input)


def producer_layer(tensor: KerasTensor) -> Any:
    """Returns the layer that produced a tensor."""
    return tensor._keras_history.operation


def rebuild(
    network: keras.Model,
    connect: Connect,
    enter: Callable[[KerasTensor], KerasTensor] = lambda tensor: tensor,
) -> keras.Model:
    """Rebuilds a network; inputs keep their names and shapes, and outputs their structure.

    Args:
        network: Functional model; it is not modified.
        connect: Function that makes each call in the new network.
        enter: Function that is applied to each new input before use.

    Returns:
        The new network.
    """
    known: dict[int, KerasTensor] = {}
    inputs = []
    for tensor in network.inputs:
        inputs.append(
            keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=producer_layer(tensor).name)
        )
        known[id(tensor)] = enter(inputs[-1])
    for node in calls_of(network):
        arguments, options = node.arguments.fill_in(known)
        made = keras.tree.flatten(connect(node, arguments, options))
        known.update(zip(map(id, node.outputs), made, strict=True))
    outputs = [known[id(tensor)] for tensor in network.outputs]
    return keras.Model(
        keras.tree.pack_sequence_as(network.input, inputs),
        keras.tree.pack_sequence_as(network.output, outputs),
        name=network.name,
    )


def copy_variables(source: keras.Layer, target: keras.Layer) -> None:
    """Copies weights and other state, such as seeds, from a layer to one of the same structure.

    Args:
        source: Layer to copy from.
        target: Layer to copy to.
    """
    for old, new in zip(source.variables, target.variables, strict=True):
        new.assign(old)
