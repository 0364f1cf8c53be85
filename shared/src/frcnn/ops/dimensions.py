"""Sizes of tensors that are ints where the graph knows them, and scalar tensors where it does not.

So one function serves graphs of static and of dynamic shape, and the static ones get no op for it.
"""

import tensorflow as tf


def dimension(tensor: tf.Tensor, axis: int) -> int | tf.Tensor:
    """Length of an axis: an int if it is known, else an int32 scalar."""
    known = tensor.shape[axis]
    return tf.shape(tensor)[axis] if known is None else known


def smaller(one: int | tf.Tensor, other: int | tf.Tensor) -> int | tf.Tensor:
    """The smaller of two lengths; an int if both are."""
    if isinstance(one, int) and isinstance(other, int):
        return min(one, other)
    return tf.minimum(one, other)


def cells_of(side: int | tf.Tensor, stride: int) -> int | tf.Tensor:
    """Cells of the feature map in which there is something of `side` pixels."""
    return -(-side // stride)
