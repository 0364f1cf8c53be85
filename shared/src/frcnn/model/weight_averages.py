"""Averages a detector's weights over the last steps of its training."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf


class WeightAverages:
    """Averages stored as optimizer variables, so that a checkpoint contains weights and averages.

    Attributes:
        exchanged: Whether the model currently holds the averages, and the variables here the weights.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, weights: Sequence[keras.Variable]) -> None:
        """Adds one optimizer variable per weight.

        Args:
            optimizer: Built optimizer.
            weights: Weights to average.
        """
        self._weights = list(weights)
        self._averages = [optimizer.add_variable_from_reference(each, name="average") for each in weights]
        self.exchanged = False

    def __len__(self) -> int:
        """Returns the number of averages."""
        return len(self._averages)

    def update(self, momentum: tf.Tensor) -> None:
        """Adds the current weights to the averages.

        Args:
            momentum: Momentum of the averages, float32 scalar.
        """
        for weight, average in zip(self._weights, self._averages, strict=True):
            average.assign(average.value * momentum + weight.value * (1.0 - momentum))

    def exchange(self) -> None:
        """Swaps weights and averages exactly, without rounding."""
        for weight, average in zip(self._weights, self._averages, strict=True):
            held = tf.identity(weight.value)
            weight.assign(average.value)
            average.assign(held)
        self.exchanged = not self.exchanged

    def restore(self, arrays: Sequence[np.ndarray]) -> None:
        """Restores the exchanged weights from a checkpoint.

        Args:
            arrays: Weights that the checkpoint stores besides the averages; if empty, the averages start at
                the current weights.
        """
        for average, value in zip(self._averages, arrays or self._weights, strict=True):
            average.assign(value)
        self.exchanged = bool(arrays)
