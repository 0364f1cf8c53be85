"""The routes without AVX-512 compute the plain convolution, its gradients included."""

import numpy as np
import pytest
import tensorflow as tf

from frcnn.model.layers import Conv2D, plain_convolutions
from frcnn.ops.convolution_without_avx512 import convolve_without_avx512, without_avx512


def inputs(images: int, window: tuple[int, int]) -> list[tf.Tensor]:
    """Random maps, kernel, and weights of the results in the loss."""
    rng = np.random.default_rng(images)
    shapes = [(images, 9, 6, 5), (*window, 5, 4), (images, 9, 6, 4)]
    return [tf.constant(rng.normal(size=shape).astype(np.float32)) for shape in shapes]


def plain(maps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.nn.conv2d(maps, kernel, 1, "SAME")


@pytest.mark.parametrize("window", [(3, 3), (5, 5), (1, 7), (5, 1)])
@pytest.mark.parametrize("images", [1, 3])
def test_result_and_gradients_are_those_of_the_plain_convolution(images, window):
    maps, kernel, weights = inputs(images, window)
    values = []
    for convolve in (convolve_without_avx512, plain):
        with tf.GradientTape() as tape:
            tape.watch([maps, kernel])
            result = convolve(maps, kernel)
            loss = tf.reduce_sum(result * weights)
        values.append([result, *tape.gradient(loss, [maps, kernel])])
    for ours, expected in zip(*values, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_sizes_unknown_at_compilation_give_the_same_gradients():
    maps, kernel, weights = inputs(3, (3, 3))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 5])], autograph=False)
    def gradients(images: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            loss = tf.reduce_sum(convolve_without_avx512(images, kernel) * weights)
        return tape.gradient(loss, [images, kernel])

    with tf.GradientTape() as tape:
        tape.watch([maps, kernel])
        loss = tf.reduce_sum(plain(maps, kernel) * weights)
    for ours, expected in zip(gradients(maps), tape.gradient(loss, [maps, kernel]), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def operations(layer: Conv2D) -> set[str]:
    """Returns the types of the operations that a layer runs for one image, 8x8."""
    layer.build((1, 8, 8, 2))
    function = tf.function(layer.call, autograph=False).get_concrete_function(tf.TensorSpec([1, 8, 8, 2]))
    return {each.type for each in function.graph.get_operations()}


@pytest.mark.parametrize(("window", "strides", "dilation"), [(1, 1, 1), (3, 2, 1), (3, 1, 2)])
def test_other_convolutions_keep_the_route_of_tensorflow(window, strides, dilation):
    layer = Conv2D(3, window, strides=strides, dilation_rate=dilation)
    assert "Conv2DBackpropInput" not in operations(layer)


def test_one_image_is_convolved_by_the_transposed_convolution_only_without_avx512():
    assert ("Conv2DBackpropInput" in operations(Conv2D(3, 3))) is without_avx512()


def test_graphs_for_other_runtimes_have_plain_convolutions():
    with plain_convolutions():
        assert "Conv2DBackpropInput" not in operations(Conv2D(3, 3))
