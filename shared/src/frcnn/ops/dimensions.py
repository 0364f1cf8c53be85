"""Sizes of tensors: ints where the graph knows them, otherwise scalar tensors.

This lets one function serve graphs of static and of dynamic shape without extra ops in static graphs.
"""

import tensorflow as tf


def dimension(tensor: tf.Tensor, axis: int) -> int | tf.Tensor:
    """Returns the length of an axis: an int if it is known, otherwise an int32 scalar."""
    known = tensor.shape[axis]
    return tf.shape(tensor)[axis] if known is None else known


def smaller(one: int | tf.Tensor, other: int | tf.Tensor) -> int | tf.Tensor:
    """Returns the smaller of two lengths; an int if both are ints."""
    if isinstance(one, int) and isinstance(other, int):
        return min(one, other)
    return tf.minimum(one, other)


def cells_of(side: int | tf.Tensor, stride: int) -> int | tf.Tensor:
    """Returns the number of feature map cells that `side` pixels cover, rounded up."""
    return -(-side // stride)
