"""A functional network made anew, call by call, with other layers or more of them."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import KerasTensor

# How a call of the network is made in the new one: the call, and its arguments there.
Connect = Callable[[Any, tuple[Any, ...], dict[str, Any]], KerasTensor | list[KerasTensor]]


def calls_of(network: keras.Model) -> Iterator[Any]:
    """The calls of a network's layers in the order of computation: Keras' nodes, those of inputs left out."""
    # Keras has no public way to the calls of layers; these nodes are what its own cloning walks over.
    for depth in sorted(network._nodes_by_depth, reverse=True):
        yield from (node for node in network._nodes_by_depth[depth] if not node.is_input)


def maker_of(tensor: KerasTensor) -> Any:
    """The layer whose result a tensor is."""
    return tensor._keras_history.operation


def rebuild(
    network: keras.Model,
    connect: Connect,
    enter: Callable[[KerasTensor], KerasTensor] = lambda tensor: tensor,
) -> keras.Model:
    """A network with inputs of the same names and shapes, and outputs at the same places.

    Args:
        network: A functional model; it is left as it was.
        connect: Makes each call.
        enter: What to do to each new input before it is used.
    """
    known: dict[int, KerasTensor] = {}
    inputs = []
    for tensor in network.inputs:
        inputs.append(keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=maker_of(tensor).name))
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
    """Fills a layer's weights, and other state such as seeds, with those of one like it."""
    for old, new in zip(source.variables, target.variables, strict=True):
        new.assign(old)
