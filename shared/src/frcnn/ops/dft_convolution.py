"""3x3 convolution of small square maps by the transforms of `frcnn.ops.dft_matrices`, in TensorFlow."""

import tensorflow as tf

from frcnn.ops.dft_matrices import dft_matrices


def transform_kernel(kernel: tf.Tensor, side: int) -> tf.Tensor:
    """The kernel [3, 3, D, K] in the frequency domain, [T, D, K]; constant while the weights are."""
    channels, filters = kernel.shape[2], kernel.shape[3]
    matrix = tf.constant(dft_matrices(side)[1], kernel.dtype)
    return tf.reshape(matrix @ tf.reshape(kernel, [9, channels * filters]), [-1, channels, filters])


def convolve_transformed(maps: tf.Tensor, transformed: tf.Tensor) -> tf.Tensor:
    """Convolution of maps [N, P, P, D] with a kernel from `transform_kernel`, [N, P, P, K]."""
    side, channels, filters = maps.shape[1], maps.shape[3], transformed.shape[2]
    forward, _, backward = (tf.constant(matrix, maps.dtype) for matrix in dft_matrices(side))
    cells_first = tf.transpose(tf.reshape(maps, [-1, side * side, channels]), [1, 0, 2])
    spectrum = forward @ tf.reshape(cells_first, [side * side, -1])
    products = tf.reshape(spectrum, [forward.shape[0], -1, channels]) @ transformed
    cells = tf.reshape(backward @ tf.reshape(products, [forward.shape[0], -1]), [side * side, -1, filters])
    return tf.reshape(tf.transpose(cells, [1, 0, 2]), [-1, side, side, filters])


def convolve_3x3(maps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """3x3 convolution with stride 1 and zero padding 1, as `tf.nn.conv2d(..., padding="SAME")`.

    Args:
        maps: [N, P, P, D], square, of static side and depth; N may be dynamic or 0.
        kernel: [3, 3, D, K].

    Returns:
        [N, P, P, K] in the maps' dtype. Differentiable in both.
    """
    return convolve_transformed(maps, transform_kernel(tf.cast(kernel, maps.dtype), maps.shape[1]))
