"""Layers of quantisation-aware training: what an INT8 engine will round is rounded in training already.

Kernels and activations are rounded in the forward pass only; weights stay float32, and gradients pass
straight through. Names and saved weights are those of the layers they stand for.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from frcnn.model.layers import Conv2D
from frcnn.ops.fake_quant import fake_quantise, fake_quantise_kernel, kernel_limits

# What a range is before the first batch, as in the reference; that batch replaces it.
INITIAL_RANGE = 6.0
DECAY = 0.999


@keras.saving.register_keras_serializable("frcnn")
class QDQ(keras.layers.Layer):
    """Rounds activations to 8 bits (quantise, dequantise) within a range that it learns in training.

    `scaling_factor` is the moving average of the batches' largest magnitudes: a value above it is cut
    off. The first batch replaces the start value, since the average is free of the bias to it.
    """

    keeps_channels = True  # to the pruner

    def __init__(self, *, decay: float = DECAY, **options: Any) -> None:
        """`decay` of the moving average, and arguments of `keras.layers.Layer`."""
        super().__init__(**options)
        self.decay = decay

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Two numbers, float32 whatever the layer computes in."""
        kind: dict[str, Any] = {"shape": (), "dtype": "float32", "trainable": False, "autocast": False}
        start = keras.initializers.Constant(INITIAL_RANGE)
        self.scaling_factor = self.add_weight(name="scaling_factor", initializer=start, **kind)
        self.updates = self.add_weight(name="updates", initializer="zeros", **kind)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """`inputs` rounded, in their dtype; in training the range follows them first."""
        values = tf.cast(inputs, tf.float32)
        limit = self._follow(values) if training else tf.convert_to_tensor(self.scaling_factor.value)
        return tf.cast(fake_quantise(values, limit), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """That of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The Keras layer's configuration and `decay`."""
        return {**super().get_config(), "decay": self.decay}

    def _follow(self, values: tf.Tensor) -> tf.Tensor:
        """Takes the batch into the moving average, which it returns."""
        largest = tf.stop_gradient(tf.reduce_max(tf.abs(values)))
        updates, before = self.updates.value + 1.0, tf.convert_to_tensor(self.scaling_factor.value)
        # An average from 0 with this decay, divided by 1 - decay ** updates: the weight of what it was
        # before the first batch. As an increment it needs no second average.
        share = (1.0 - self.decay) / -tf.math.expm1(updates * np.log(self.decay))
        limit = before + tf.cast(share, tf.float32) * (largest - before)
        self.updates.assign(updates)
        self.scaling_factor.assign(limit)
        return limit


class _QuantisedKernel:
    """For a layer with a kernel: it computes with the kernel rounded to 8 bits."""

    filter_axes = 1  # of the kernel, the last ones

    def __init__(self, *arguments: Any, per_channel: bool = False, **options: Any) -> None:
        """The range is the kernel's own, or with `per_channel` each filter's own."""
        super().__init__(*arguments, **options)
        self.per_channel = per_channel

    def add_weight(self, *arguments: Any, **options: Any) -> keras.Variable:
        """As in Keras, but that kernels are rounded from their float32 values in mixed precision too."""
        if options.get("name") == "kernel":
            options["autocast"] = False
        return super().add_weight(*arguments, **options)  # type: ignore[misc]

    def limits(self) -> tf.Tensor:
        """Largest magnitudes that the rounding keeps, float32: [] or [1, ..., filters]."""
        return kernel_limits(self.kernel.value, self.filter_axes if self.per_channel else 0)  # type: ignore[attr-defined]

    def effective_kernel(self) -> tf.Tensor:
        """The kernel that the layer computes with, float32."""
        return fake_quantise_kernel(self.kernel.value, self.limits())  # type: ignore[attr-defined]

    def get_config(self) -> dict[str, Any]:
        """The layer's configuration and `per_channel`."""
        return {**super().get_config(), "per_channel": self.per_channel}  # type: ignore[misc]


@keras.saving.register_keras_serializable("frcnn")
class QuantizedConv2D(_QuantisedKernel, Conv2D):
    """The detector's convolution with a kernel of 8 bits; takes the DFT route where that one does."""


@keras.saving.register_keras_serializable("frcnn")
class QuantizedDepthwiseConv2D(_QuantisedKernel, keras.layers.DepthwiseConv2D):
    """Depthwise convolution with a kernel of 8 bits."""

    filter_axes = 2

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The convolution of [N, H, W, D]."""
        outputs = keras.ops.depthwise_conv(
            inputs,
            tf.cast(self.effective_kernel(), inputs.dtype),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _finish(self, outputs)


@keras.saving.register_keras_serializable("frcnn")
class QuantizedDense(_QuantisedKernel, keras.layers.Dense):
    """Dense layer with a kernel of 8 bits."""

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The products of [N, D]."""
        return _finish(self, tf.matmul(inputs, tf.cast(self.effective_kernel(), inputs.dtype)))


def _finish(layer: keras.Layer, outputs: tf.Tensor) -> tf.Tensor:
    if layer.use_bias:
        outputs = tf.nn.bias_add(outputs, keras.ops.convert_to_tensor(layer.bias))
    return outputs if layer.activation is None else layer.activation(outputs)
