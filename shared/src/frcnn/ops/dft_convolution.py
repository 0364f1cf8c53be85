"""3x3 convolution of small square maps by way of the discrete Fourier transform.

Zero padding a P x P map by one makes its 3x3 'same' convolution a circular correlation of side
P + 1. In the frequency domain that is one product a frequency; the transform of real numbers has
few independent ones, and a complex product costs three real ones (Gauss). For P = 7 this makes 94
products for each pair of channels, where the direct form needs 441. Transforms and products are plain
matrix products with three constant matrices: y = A [(G w) * (B x)]. In float32 the rounding error is
that of the direct convolution.
"""

import functools

import numpy as np
import tensorflow as tf


@functools.cache
def dft_matrices(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The constant matrices of maps of `side` cells, float64.

    Returns:
        B [T, side * side] for the map, G [T, 9] for the kernel and A [side * side, T] for the result,
        with T products (94 for side 7).
    """
    length = side + 1
    frequency = np.arange(length)
    fourier = np.exp(-2j * np.pi * np.outer(frequency, frequency) / length)
    map_1d = fourier[:, :side]
    kernel_1d = np.exp(2j * np.pi * np.outer(frequency, np.arange(3) - 1) / length)
    result_1d = np.conj(fourier)[:side] / length
    map_2d, kernel_2d = np.kron(map_1d, map_1d), np.kron(kernel_1d, kernel_1d)
    result_2d = np.kron(result_1d, result_1d)
    forward, kernel, backward = [], [], []
    for u, v in np.ndindex(length, length):
        here, mirror = u * length + v, (-u) % length * length + (-v) % length
        x, w = map_2d[here], kernel_2d[here]
        if here == mirror:
            forward.append(x.real)
            kernel.append(w.real)
            backward.append(result_2d[:, here].real)
        elif here < mirror:
            # A frequency and its mirror are conjugates: twice the real part stands for both.
            re, im = 2 * result_2d[:, here].real, -2 * result_2d[:, here].imag
            forward += [x.real + x.imag, x.real, x.imag]
            kernel += [w.real, w.imag - w.real, w.real + w.imag]
            backward += [re + im, im, -re]
    return np.array(forward), np.array(kernel), np.array(backward).T


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
