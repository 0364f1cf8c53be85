"""Matrices of the 3x3 convolution of small square maps by the discrete Fourier transform.

Zero padding a P x P map by one turns its 3x3 "same" convolution into a circular correlation of side
P + 1, which is one product per frequency. The transform of real numbers has few independent
frequencies, and a complex product costs three real ones (Gauss). For P = 7 this gives 94 products per
pair of channels; the direct convolution needs 441. All transforms are matrix products with three
constant matrices: y = A [(G w) * (B x)]. In float32 the rounding error equals that of the direct
convolution.
"""

import functools

import numpy as np

# For larger sides the transforms cost more than the products they save.
LARGEST_DFT_SIDE = 8
SMALLEST_DFT_DEPTH = 64


@functools.cache
def dft_matrices(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the constant matrices for maps of a given side.

    Args:
        side: Side of the maps, cells.

    Returns:
        Float64 matrices B `[T, side * side]` for the map, G `[T, 9]` for the kernel and
        A `[side * side, T]` for the result, with T products (94 for side 7).
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
            # A frequency and its mirror are conjugates: twice the real part covers both.
            re, im = 2 * result_2d[:, here].real, -2 * result_2d[:, here].imag
            forward += [x.real + x.imag, x.real, x.imag]
            kernel += [w.real, w.imag - w.real, w.real + w.imag]
            backward += [re + im, im, -re]
    return np.array(forward), np.array(kernel), np.array(backward).T
