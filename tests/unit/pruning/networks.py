"""Small networks, one for each pattern that pruning must understand, and the proof that it did."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from frcnn.model.layers import BatchNormalization, Conv2D
from frcnn.pruning.graph import LayerChannels
from frcnn.pruning.prune import Outcome

SHAPE = (8, 8, 3)


def image():
    return keras.Input(SHAPE, name="image")


def conv(inputs, filters, name, kernel=3, activation="relu", **options):
    outputs = Conv2D(filters, kernel, use_bias=False, name=name, **options)(inputs)
    return layers.Activation(activation)(BatchNormalization(name=f"{name}_bn")(outputs))


def classify(inputs, name="answer"):
    return layers.Dense(3, name=name)(layers.Flatten()(inputs))


def network(inputs, outputs):
    return keras.Model(inputs, outputs)


def randomise(networks: Sequence[keras.Model], seed: int = 0) -> None:
    """Weights that make all filters differ, and a batch normalization that does something."""
    random = np.random.default_rng(seed)
    for each in networks:
        for layer in each.layers:
            for weight in layer.weights:
                scale = random.uniform(0.05, 1.0, weight.shape[-1:] or ()) if weight.name == "kernel" else 1.0
                fan_in = max(1.0, np.prod(weight.shape[:-1]))
                values = random.normal(size=weight.shape) * scale / np.sqrt(fan_in)
                if weight.name == "moving_variance":
                    values = random.uniform(0.5, 2.0, weight.shape)
                if weight.name == "gamma":
                    values = random.uniform(0.5, 1.5, weight.shape)
                weight.assign(values)


def silence(outcome: Outcome) -> None:
    """Zeroes, in the original network, the filters that the plan removes, with their normalization."""
    for entry in outcome.graph.layers:
        gone = ~outcome.plan.keep[entry.outputs]
        if not gone.any():
            continue
        if entry.has_filters:
            _zero(entry, "kernel", gone)
            _zero(entry, "bias", gone)
        elif isinstance(entry.layer, keras.layers.BatchNormalization):
            for name in ("gamma", "beta", "moving_mean"):
                _zero(entry, name, gone)


def _zero(entry: LayerChannels, name: str, gone: np.ndarray) -> None:
    for weight in entry.layer.weights:
        if weight.name == name:
            values = weight.numpy().reshape(-1, gone.size)
            values[:, gone] = 0.0
            weight.assign(values.reshape(weight.shape))
