"""Rounding to 8 bits: against numpy, against ONNX's own operators, and what gradients make of it."""

import numpy as np
import onnx
import pytest
import tensorflow as tf
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from frcnn.ops.fake_quant import fake_quantize, fake_quantize_kernel, kernel_limits
from tests.support.graph import compiled


def rounded(values: np.ndarray, limit: float) -> np.ndarray:
    """In float64, written down as the formula stands."""
    step = limit / 127
    return np.clip(np.round(values.astype(np.float64) / step), -128, 127) * step


def activations(limit: float) -> np.ndarray:
    """Inside and outside of the range, far from the middle between two steps, where float32 decides."""
    random = np.random.default_rng(3)
    steps = random.integers(-160, 160, 4000) + random.uniform(-0.49, 0.49, 4000)
    return (steps * limit / 127).astype(np.float32)


@pytest.mark.parametrize("limit", [0.02, 1.0, 6.0, 317.0])
def test_activations_are_whole_steps_within_the_range(limit):
    values = activations(limit)
    found = compiled(fake_quantize, tf.constant(values), tf.constant(limit)).numpy()
    np.testing.assert_allclose(found, rounded(values, limit), rtol=1e-6)
    assert len(np.unique(np.round(found * 127 / limit))) == 256


def test_the_middle_between_two_steps_goes_to_the_even_one():
    values = np.float32([0.5, 1.5, 2.5, -0.5, -1.5, 126.5, 127.5, -128.5])
    found = fake_quantize(tf.constant(values), tf.constant(127.0)).numpy()
    np.testing.assert_array_equal(found, [0, 2, 2, 0, -2, 126, 127, -128])


def test_it_is_what_quantize_linear_and_dequantize_linear_do():
    limit = 2.7
    values = activations(limit)
    pair = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [limit / 127]),
        helper.make_tensor("zero", TensorProto.INT8, [], [0]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in "xy"]
    model = helper.make_model(
        helper.make_graph(pair, "pair", ends[:1], ends[1:], constants),
        opset_imports=[onnx.helper.make_opsetid("", 21)],
    )
    expected = ReferenceEvaluator(model).run(None, {"x": values})[0]
    found = fake_quantize(tf.constant(values), tf.constant(limit)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_rounding_twice_is_rounding_once():
    once = fake_quantize(tf.constant(activations(1.3)), tf.constant(1.3))
    np.testing.assert_array_equal(fake_quantize(once, tf.constant(1.3)), once)


def test_gradients_pass_within_the_range_and_stop_beyond_it():
    values, limit = tf.constant([-3.0, -2.0, -0.013, 0.0, 1.9, 2.0, 2.1]), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        tape.watch(values)
        result = tf.reduce_sum(fake_quantize(values, limit) * tf.range(1.0, 8.0))
    slopes, of_limit = tape.gradient(result, [values, limit])
    np.testing.assert_array_equal(slopes, [0, 2, 3, 4, 5, 6, 0])
    assert of_limit is None


def test_zeros_stay_zeros_without_a_range():
    zeros = tf.zeros(5)
    np.testing.assert_array_equal(fake_quantize(zeros, tf.constant(0.0)), np.zeros(5))
    np.testing.assert_array_equal(fake_quantize_kernel(zeros, kernel_limits(zeros)), np.zeros(5))


@pytest.mark.parametrize(
    ("shape", "axes"), [((3, 3, 5, 8), 0), ((3, 3, 5, 8), 1), ((3, 3, 5, 2), 2), ((6, 4), 1)]
)
def test_kernels_are_whole_steps_of_their_largest_magnitude(shape, axes):
    random = np.random.default_rng(1)
    kernel = (random.normal(size=shape) * random.uniform(0.01, 3.0, shape[-1])).astype(np.float32)
    filters = kernel.reshape(-1, int(np.prod(shape[len(shape) - axes :]))) if axes else kernel.reshape(-1, 1)
    expected = np.stack([rounded(one, np.abs(one).max()) for one in filters.T], axis=1).reshape(shape)
    found = fake_quantize_kernel(tf.constant(kernel), kernel_limits(tf.constant(kernel), axes))
    # A weight in the middle between two steps may go either way.
    steps = np.abs(np.asarray(found) - expected) / np.abs(kernel).max() * 127
    assert (steps > 1e-3).sum() <= 1
    np.testing.assert_array_equal(np.abs(found).max(), np.abs(kernel).max())


def test_gradients_pass_through_the_rounding_of_a_kernel_as_if_it_were_not_there():
    kernel, slopes = tf.Variable([[0.3, -1.0], [0.999, 0.001]]), tf.constant([[1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape() as tape:
        result = tf.reduce_sum(fake_quantize_kernel(kernel, kernel_limits(kernel, 1)) * slopes)
    np.testing.assert_array_equal(tape.gradient(result, kernel), slopes)
