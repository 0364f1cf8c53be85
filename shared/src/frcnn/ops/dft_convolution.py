"""Convolves small square maps with 3x3 kernels in the frequency domain; see `frcnn.ops.dft_matrices`."""

import tensorflow as tf

from frcnn.ops.dft_matrices import dft_matrices


def transform_kernel(kernel: tf.Tensor, side: int) -> tf.Tensor:
    """Transforms a kernel to the frequency domain; constant as long as the weights are.

    Args:
        kernel: Kernel, `[3, 3, D, K]`.
        side: Side of the maps, cells.

    Returns:
        Transformed kernel, `[T, D, K]`.
    """
    channels, filters = kernel.shape[2], kernel.shape[3]
    matrix = tf.constant(dft_matrices(side)[1], kernel.dtype)
    return tf.reshape(matrix @ tf.reshape(kernel, [9, channels * filters]), [-1, channels, filters])


def convolve_transformed(maps: tf.Tensor, transformed: tf.Tensor) -> tf.Tensor:
    """Convolves maps with a transformed kernel.

    Args:
        maps: Square maps, `[N, P, P, D]`.
        transformed: Kernel from `transform_kernel`, `[T, D, K]`.

    Returns:
        Result of the 3x3 convolution with stride 1 and zero padding 1, `[N, P, P, K]`.
    """
    side, channels, filters = maps.shape[1], maps.shape[3], transformed.shape[2]
    forward, _, backward = (tf.constant(matrix, maps.dtype) for matrix in dft_matrices(side))
    cells_first = tf.transpose(tf.reshape(maps, [-1, side * side, channels]), [1, 0, 2])
    spectrum = forward @ tf.reshape(cells_first, [side * side, -1])
    products = tf.reshape(spectrum, [forward.shape[0], -1, channels]) @ transformed
    cells = tf.reshape(backward @ tf.reshape(products, [forward.shape[0], -1]), [side * side, -1, filters])
    return tf.reshape(tf.transpose(cells, [1, 0, 2]), [-1, side, side, filters])
