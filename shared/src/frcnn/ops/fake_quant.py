"""Rounding to what 8-bit integers can hold, with gradients that pass as if nothing had been rounded.

Symmetric and signed, as INT8 engines compute: a value is an integer times step, and step is limit / 127.
Source: Jacob et al. 2018, Quantization and Training of Neural Networks; straight-through gradients of
Bengio et al. 2013.
"""

from collections.abc import Callable

import tensorflow as tf

BITS = 8
LARGEST = 127
# Where all values are 0 the step does not matter, but it must not be 0.
_SMALLEST_LIMIT = 1e-12


def fake_quantise(values: tf.Tensor, limit: tf.Tensor) -> tf.Tensor:
    """Activations rounded (half to even) and cut to -128 .. 127 steps, as QuantizeLinear does.

    Args:
        values: Float32, any shape.
        limit: Largest magnitude to keep, a float32 number above 0; 127 steps long.

    Returns:
        Like `values`. The gradient is 1 for magnitudes up to `limit` and 0 beyond.
    """
    limit = tf.stop_gradient(tf.maximum(limit, _SMALLEST_LIMIT))
    # One kernel for all of it: ten times as fast on a CPU as the four operations that it stands for.
    return tf.quantization.quantize_and_dequantize_v2(
        values, -limit, limit, num_bits=BITS, range_given=True, round_mode="HALF_TO_EVEN"
    )


def kernel_limits(kernel: tf.Tensor, filter_axes: int = 0) -> tf.Tensor:
    """Largest magnitude in a kernel, or in each of its filters.

    Args:
        kernel: Float32; its last axes tell the filters apart.
        filter_axes: How many these are; 0 for one limit for all.

    Returns:
        Float32, of a shape that goes with `kernel`; [] without filter axes.
    """
    magnitudes = tf.abs(kernel)
    if filter_axes == 0:
        return tf.reduce_max(magnitudes)
    return tf.reduce_max(magnitudes, list(range(kernel.shape.rank - filter_axes)), keepdims=True)


@tf.custom_gradient
def fake_quantise_kernel(
    kernel: tf.Tensor, limits: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, None]]]:
    """A kernel rounded to -127 .. 127 steps of the limits that `kernel_limits` found; the gradient is 1."""
    step = tf.maximum(limits, _SMALLEST_LIMIT) / LARGEST
    return tf.round(kernel / step) * step, lambda slope: (slope, None)
