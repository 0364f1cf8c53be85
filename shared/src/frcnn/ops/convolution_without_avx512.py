"""Convolves maps at stride 1 by routes that are faster where oneDNN has no AVX-512.

See docs/adr/0085-convolutions-without-avx512.md for what they gain.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from frcnn.cpu import onednn_without_avx512


@functools.cache
def without_avx512() -> bool:
    """Checks whether TensorFlow computes convolutions by oneDNN on a CPU without AVX-512.

    The answer holds for the whole process, as oneDNN's own choice does.
    """
    return onednn_without_avx512() and not tf.config.list_logical_devices("GPU")


def convolve_without_avx512(maps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolves maps with stride 1 and zero padding; the result has the size of the maps.

    Args:
        maps: Maps, float32 `[N, H, W, D]`.
        kernel: Kernel of odd height and width, float32 `[R, S, D, K]`.

    Returns:
        Result of the convolution, float32 `[N, H, W, K]`.
    """
    outputs: tf.Tensor = tf.custom_gradient(_with_gradient)(maps, kernel)
    return outputs


def _with_gradient(
    maps: tf.Tensor, kernel: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """Returns the result of a convolution, and a function from its gradient to those of maps and kernel."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _transposed(upstream, kernel), _kernel_gradient(maps, upstream, tuple(kernel.shape[:2]))

    if maps.shape[0] != 1:
        return tf.nn.conv2d(maps, kernel, 1, "SAME"), gradient
    # TensorFlow gives oneDNN a kernel in its own layout if there is one image, and oneDNN then takes a slow
    # route. A transposed convolution with the kernel turned around is the same sum and does not.
    return _transposed(maps, tf.transpose(kernel[::-1, ::-1], [0, 1, 3, 2])), gradient


def _transposed(maps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolves maps `[N, H, W, K]` with a transposed kernel `[R, S, D, K]`, to `[N, H, W, D]`."""
    sizes = tf.concat([tf.shape(maps)[:3], [kernel.shape[2]]], axis=0)
    outputs = tf.nn.conv2d_transpose(maps, kernel, sizes, 1, "SAME")
    return tf.ensure_shape(outputs, [*maps.shape[:3], kernel.shape[2]])


def _kernel_gradient(maps: tf.Tensor, upstream: tf.Tensor, window: tuple[int, int]) -> tf.Tensor:
    """Computes the gradient of a kernel by one matrix product for each of its rows.

    Below the images, as many rows of zeros are added as the kernel reaches beyond them. All cells of all
    images then form one list, in which a cell and its neighbor in another row are always equally far apart.

    Args:
        maps: Maps, float32 `[N, H, W, D]`.
        upstream: Gradient of the result, float32 `[N, H, W, K]`.
        window: Height and width of the kernel, odd: R and S.

    Returns:
        Gradient of the kernel, float32 `[R, S, D, K]`.
    """
    rows, columns = window
    up, left = rows // 2, columns // 2
    width, channels, filters = tf.shape(maps)[2], maps.shape[3], upstream.shape[3]
    padded = tf.pad(maps, [[0, 0], [up, up], [left, left], [0, 0]])
    neighbors = tf.concat([padded[:, :, column : column + width] for column in range(columns)], axis=-1)
    neighbors = tf.reshape(neighbors, [-1, columns * channels])
    slopes = tf.reshape(tf.pad(upstream, [[0, 0], [0, 2 * up], [0, 0], [0, 0]]), [-1, filters])
    count = tf.shape(slopes)[0] - 2 * up * width
    slopes = slopes[:count]
    products = [
        tf.matmul(neighbors[row * width : row * width + count], slopes, transpose_a=True)
        for row in range(rows)
    ]
    return tf.reshape(tf.stack(products), [rows, columns, channels, filters])
