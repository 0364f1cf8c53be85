"""The 3x3 convolution by DFT is the plain 3x3 convolution, its gradients included."""

import numpy as np
import pytest
import tensorflow as tf

from frcnn.ops.dft_convolution import convolve_saving_memory, convolve_transformed, transform_kernel
from tests.support import reference_layers as reference
from tests.support.bfloat16 import needs_bfloat16
from tests.support.graph import compiled, static_shapes


def convolve_3x3(maps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return convolve_transformed(maps, transform_kernel(tf.cast(kernel, maps.dtype), maps.shape[1]))


def inputs(seed: int, size: int = 7, channels: int = 48, filters: int = 32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(5, size, size, channels)).astype(np.float32)
    return x, rng.normal(size=(3, 3, channels, filters)).astype(np.float32)


def relative_error(value, expected) -> float:
    """Largest difference as a share of the largest expected value."""
    return float(np.abs(np.asarray(value, np.float64) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("size", [7, 3, 4, 8])
def test_result_is_the_plain_convolution(size):
    x, kernel = inputs(0, size)
    assert relative_error(convolve_3x3(x, kernel), reference.convolve_3x3(x, kernel)) < 1e-5


def test_a_shifting_kernel_shifts_and_does_not_wrap():
    x = np.arange(49, dtype=np.float32).reshape(1, 7, 7, 1) + 1
    kernel = np.zeros((3, 3, 1, 1), np.float32)
    kernel[0, 2] = 1.0  # takes the pixel above and to the right
    expected = np.zeros((7, 7))
    expected[1:, :-1] = x[0, :-1, 1:, 0]
    np.testing.assert_allclose(convolve_3x3(x, kernel)[0, :, :, 0], expected, atol=1e-4)


def test_gradients_are_those_of_the_plain_convolution():
    x, kernel = (tf.constant(value) for value in inputs(1))
    weights = tf.constant(np.random.default_rng(2).normal(size=(5, 7, 7, 32)).astype(np.float32))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, kernel])
        ours = tf.reduce_sum(convolve_3x3(x, kernel) * weights)
        plain = tf.reduce_sum(tf.nn.conv2d(x, kernel, 1, "SAME") * weights)
    for source in (x, kernel):
        assert relative_error(tape.gradient(ours, source), tape.gradient(plain, source).numpy()) < 1e-5


@needs_bfloat16
def test_bfloat16_stays_bfloat16_and_close():
    x, kernel = inputs(3)
    result = convolve_3x3(tf.cast(x, tf.bfloat16), tf.constant(kernel))
    assert result.dtype == tf.bfloat16
    assert relative_error(tf.cast(result, tf.float32), reference.convolve_3x3(x, kernel)) < 0.03


def test_graph_mode_agrees_with_eager_and_shapes_are_static():
    pair = inputs(4)
    assert relative_error(compiled(convolve_3x3, *pair), np.asarray(convolve_3x3(*pair))) < 1e-6
    assert static_shapes(convolve_3x3, *pair) == [(5, 7, 7, 32)]


def test_keeping_little_changes_no_bit_of_result_and_gradients():
    x, kernel = (tf.constant(value) for value in inputs(5))
    weights = tf.constant(np.random.default_rng(6).normal(size=(5, 7, 7, 32)).astype(np.float32))

    @tf.function
    def results(convolve):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            answer = convolve(x, kernel)
            loss = tf.reduce_sum(answer * weights)
        return [answer, *tape.gradient(loss, [x, kernel])]

    for value, expected in zip(results(convolve_saving_memory), results(convolve_3x3), strict=True):
        np.testing.assert_array_equal(value, expected)
