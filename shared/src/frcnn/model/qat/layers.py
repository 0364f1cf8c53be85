"""Layers of quantization-aware training, which round what an INT8 engine will round.

Kernels and activations are rounded in the forward pass only; weights stay float32, and gradients ignore the
rounding. Names and saved weights equal those of the float layers.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from frcnn.model.layers import Conv2D
from frcnn.ops.fake_quant import fake_quantize, fake_quantize_kernel, kernel_limits

# Range before the first batch, as in TAO; that batch replaces it.
INITIAL_RANGE = 6.0
DECAY = 0.999


@keras.saving.register_keras_serializable("frcnn")
class QDQ(keras.layers.Layer):
    """Layer that rounds activations to 8 bits (quantize, dequantize) within a learned range.

    `scaling_factor` is the moving average of the batches' largest magnitudes; larger values are clipped. The
    average is bias-corrected, so the first batch replaces the initial value.
    """

    keeps_channels = True  # read by the pruner

    def __init__(self, *, decay: float = DECAY, **options: Any) -> None:
        """Creates a layer.

        Args:
            decay: Decay of the moving average.
            options: Arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.decay = decay

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the two float32 scalars `scaling_factor` and `updates`."""
        kind: dict[str, Any] = {"shape": (), "dtype": "float32", "trainable": False, "autocast": False}
        start = keras.initializers.Constant(INITIAL_RANGE)
        self.scaling_factor = self.add_weight(name="scaling_factor", initializer=start, **kind)
        self.updates = self.add_weight(name="updates", initializer="zeros", **kind)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Rounds `inputs`, in their dtype; in training, updates the range first."""
        values = tf.cast(inputs, tf.float32)
        limit = self._follow(values) if training else tf.convert_to_tensor(self.scaling_factor.value)
        return tf.cast(fake_quantize(values, limit), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the input shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the Keras layer's configuration and `decay`."""
        return {**super().get_config(), "decay": self.decay}

    def _follow(self, values: tf.Tensor) -> tf.Tensor:
        """Updates the moving average with a batch and returns it."""
        largest = tf.stop_gradient(tf.reduce_max(tf.abs(values)))
        updates, before = self.updates.value + 1.0, tf.convert_to_tensor(self.scaling_factor.value)
        # Bias-corrected moving average: an average that starts at 0, divided by 1 - decay ** updates.
        # Written as an increment, it needs no second average.
        share = (1.0 - self.decay) / -tf.math.expm1(updates * np.log(self.decay))
        limit = before + tf.cast(share, tf.float32) * (largest - before)
        self.updates.assign(updates)
        self.scaling_factor.assign(limit)
        return limit


class _QuantizedKernel:
    """Mixin for layers with a kernel, which is rounded to 8 bits before use."""

    filter_axes = 1  # number of the kernel's last axes that index filters

    def __init__(self, *arguments: Any, per_channel: bool = False, **options: Any) -> None:
        """Creates a layer.

        Args:
            arguments: Arguments of the Keras layer.
            per_channel: Whether each filter has its own range, instead of one range for the kernel.
            options: Keyword arguments of the Keras layer.
        """
        super().__init__(*arguments, **options)
        self.per_channel = per_channel

    def add_weight(self, *arguments: Any, **options: Any) -> keras.Variable:
        """Adds a weight as Keras does, except that kernels stay float32 in mixed precision."""
        if options.get("name") == "kernel":
            options["autocast"] = False
        return super().add_weight(*arguments, **options)  # type: ignore[misc]

    def limits(self) -> tf.Tensor:
        """Returns the largest magnitudes to represent, float32 `[]` or `[1, ..., filters]`."""
        return kernel_limits(self.kernel.value, self.filter_axes if self.per_channel else 0)  # type: ignore[attr-defined]

    def effective_kernel(self) -> tf.Tensor:
        """Returns the rounded kernel, float32."""
        return fake_quantize_kernel(self.kernel.value, self.limits())  # type: ignore[attr-defined]

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's configuration and `per_channel`."""
        return {**super().get_config(), "per_channel": self.per_channel}  # type: ignore[misc]


@keras.saving.register_keras_serializable("frcnn")
class QuantizedConv2D(_QuantizedKernel, Conv2D):
    """The detector's convolution with an 8-bit kernel; uses the DFT route in the same cases."""


@keras.saving.register_keras_serializable("frcnn")
class QuantizedDepthwiseConv2D(_QuantizedKernel, keras.layers.DepthwiseConv2D):
    """Depthwise convolution with an 8-bit kernel."""

    filter_axes = 2

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolves inputs `[N, H, W, D]`."""
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
class QuantizedDense(_QuantizedKernel, keras.layers.Dense):
    """Dense layer with an 8-bit kernel."""

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Multiplies inputs `[N, D]` by the rounded kernel."""
        return _finish(self, tf.matmul(inputs, tf.cast(self.effective_kernel(), inputs.dtype)))


def _finish(layer: keras.Layer, outputs: tf.Tensor) -> tf.Tensor:
    if layer.use_bias:
        outputs = tf.nn.bias_add(outputs, keras.ops.convert_to_tensor(layer.bias))
    return outputs if layer.activation is None else layer.activation(outputs)
