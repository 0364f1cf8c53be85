"""The average of a detector's weights over the last steps of its training."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf


class WeightAverages:
    """Keeps the averages among the optimizer's variables, so that a checkpoint has weights and averages.

    `exchanged` says whether the model holds the averages at present, and the variables here the weights.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, weights: Sequence[keras.Variable]) -> None:
        """Adds one variable to `optimizer`, which is built, for each of `weights`."""
        self._weights = list(weights)
        self._averages = [optimizer.add_variable_from_reference(each, name="average") for each in weights]
        self.exchanged = False

    def __len__(self) -> int:
        """How many there are."""
        return len(self._averages)

    def update(self, momentum: tf.Tensor) -> None:
        """Takes the weights of a step into the averages."""
        for weight, average in zip(self._weights, self._averages, strict=True):
            average.assign(average.value * momentum + weight.value * (1.0 - momentum))

    def exchange(self) -> None:
        """Swaps weights and averages, bit for bit."""
        for weight, average in zip(self._weights, self._averages, strict=True):
            held = tf.identity(weight.value)
            weight.assign(average.value)
            average.assign(held)
        self.exchanged = not self.exchanged

    def restore(self, arrays: Sequence[np.ndarray]) -> None:
        """Takes what a checkpoint has beside the averages, its weights; if nothing, starts at the weights."""
        for average, value in zip(self._averages, arrays or self._weights, strict=True):
            average.assign(value)
        self.exchanged = bool(arrays)
