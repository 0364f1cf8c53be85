"""The layers of quantization-aware training: what they compute, learn and save."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from frcnn.model.layers import Conv2D, plain_convolutions
from frcnn.model.qat.layers import QDQ, QuantizedConv2D, QuantizedDense, QuantizedDepthwiseConv2D
from tests.support.bfloat16 import needs_bfloat16


def batches(count: int) -> np.ndarray:
    random = np.random.default_rng(7)
    return (random.normal(size=(count, 6, 5)) * random.uniform(0.5, 4.0, (count, 1, 1))).astype(np.float32)


def in_training(layer):
    if not layer.built:
        layer.build((None, 5))
    return tf.function(lambda values: layer(values, training=True))


def test_the_first_batch_replaces_the_start_value_and_inference_changes_nothing():
    layer, (first, second) = QDQ(), batches(2)
    layer(second)
    assert float(layer.scaling_factor) == 6.0
    in_training(layer)(tf.constant(first))
    assert float(layer.scaling_factor) == pytest.approx(np.abs(first).max(), rel=1e-6)
    before = float(layer.scaling_factor)
    layer(second * 10.0)
    assert float(layer.scaling_factor) == before


@pytest.mark.parametrize("decay", [0.999, 0.9])
def test_the_range_is_the_moving_average_of_largest_magnitudes_free_of_the_start(decay):
    layer, values = QDQ(decay=decay), batches(60)
    step = in_training(layer)
    average = 0.0
    for count, batch in enumerate(values, start=1):
        step(tf.constant(batch))
        average = decay * average + (1.0 - decay) * float(np.abs(batch).max())
        assert float(layer.scaling_factor) == pytest.approx(average / (1.0 - decay**count), rel=1e-4)
    assert float(layer.updates) == 60.0


def test_activations_are_rounded_with_the_range_after_the_update():
    layer, (batch, other) = QDQ(), batches(2)
    step = np.abs(batch).max() / 127
    expected = np.round(batch.astype(np.float64) / step) * step
    np.testing.assert_allclose(in_training(layer)(tf.constant(batch)), expected, atol=1e-6)
    clipped = np.clip(np.round(other.astype(np.float64) / step), -128, 127) * step
    np.testing.assert_allclose(layer(other), clipped, atol=1e-6)


def test_gradients_pass_within_the_range():
    layer, (batch, _) = QDQ(), batches(2)
    in_training(layer)(tf.constant(batch))
    values = tf.constant([0.5, 1.0, 2.0]) * float(layer.scaling_factor)
    with tf.GradientTape() as tape:
        tape.watch(values)
        result = tf.reduce_sum(layer(values))
    np.testing.assert_array_equal(tape.gradient(result, values), [1, 1, 0])


def rounded(kernel: np.ndarray, *, filters: int | None) -> np.ndarray:
    """A kernel on its grid of 255 values; with `filters` each of so many has its own."""
    rows = kernel.astype(np.float64).reshape(-1, filters or 1)
    step = np.abs(rows).max(axis=0) / 127
    return (np.round(rows / step) * step).reshape(kernel.shape)


def with_weights(layer: keras.Layer, shape: tuple[int | None, ...]) -> keras.Layer:
    random = np.random.default_rng(5)
    layer.build(shape)
    for weight in layer.weights:
        spread = random.uniform(0.1, 2.0, weight.shape[-1])
        weight.assign((random.normal(size=weight.shape) * spread).astype(np.float32))
    return layer


KINDS = {
    "small map (DFT)": (QuantizedConv2D, Conv2D, (24, 3), (2, 7, 7, 64), 24),
    "strided": (QuantizedConv2D, Conv2D, (8, 3, {"strides": 2, "activation": "relu"}), (2, 9, 9, 4), 8),
    "depthwise": (
        QuantizedDepthwiseConv2D,
        keras.layers.DepthwiseConv2D,
        (3, 2, {"depth_multiplier": 2, "padding": "same"}),
        (2, 8, 8, 6),
        12,
    ),
    "dense": (QuantizedDense, keras.layers.Dense, (5, {"activation": "tanh"}), (3, 16), 5),
}


def made(kind: type, arguments: tuple, shape: tuple[int, ...], **more) -> keras.Layer:
    options = arguments[-1] if isinstance(arguments[-1], dict) else {}
    plain = [each for each in arguments if not isinstance(each, dict)]
    return with_weights(kind(*plain, **options, **more), (None, *shape[1:]))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_a_layer_computes_with_the_rounded_kernel(name, per_channel, training):
    quantized, plain, arguments, shape, filters = KINDS[name]
    layer = made(quantized, arguments, shape, per_channel=per_channel)
    peer = made(plain, arguments, shape)
    peer.kernel.assign(rounded(np.asarray(layer.kernel), filters=filters if per_channel else None))
    maps = tf.constant(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    expected = np.asarray(peer(maps))
    np.testing.assert_allclose(layer(maps, training=training), expected, atol=2e-5 * np.abs(expected).max())
    exact = made(plain, arguments, shape)(maps)
    assert np.abs(np.asarray(exact) - expected).max() > 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("name", KINDS)
def test_the_kernels_gradient_is_that_of_the_layer_at_the_rounded_kernel(name):
    quantized, plain, arguments, shape, _ = KINDS[name]
    layer, peer = made(quantized, arguments, shape), made(plain, arguments, shape)
    peer.kernel.assign(layer.effective_kernel())
    maps = tf.constant(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    slopes = []
    for each in (layer, peer):
        with tf.GradientTape() as tape:
            result = tf.reduce_sum(tf.square(each(maps)))
        slopes.append(np.asarray(tape.gradient(result, each.kernel.value)))
    np.testing.assert_allclose(slopes[0], slopes[1], atol=2e-5 * np.abs(slopes[1]).max())


def test_the_fast_route_and_its_cached_kernel_give_the_direct_convolution():
    layer = made(QuantizedConv2D, (24, 3), (2, 7, 7, 64))
    maps = tf.constant(np.random.default_rng(0).normal(size=(2, 7, 7, 64)).astype(np.float32))
    assert layer.takes_dft(maps.shape) is not bool(tf.config.list_logical_devices("GPU"))
    with plain_convolutions():
        direct = np.asarray(layer(maps))
    fast = np.asarray(layer(maps))
    layer.cache_kernel(7)
    layer.kernel.assign(layer.kernel * 2.0)  # not seen until the next refresh
    for found in (fast, layer(maps)):
        np.testing.assert_allclose(found, direct, atol=1e-5 * np.abs(direct).max())


@pytest.mark.parametrize("name", KINDS)
def test_saved_weights_are_those_of_the_plain_layer_and_configurations_stay_the_same(name):
    quantized, plain, arguments, shape, _ = KINDS[name]
    layer, peer = made(quantized, arguments, shape, per_channel=True), made(plain, arguments, shape)
    assert [weight.name for weight in layer.weights] == [weight.name for weight in peer.weights]
    config = layer.get_config()
    assert config == {**peer.get_config(), "name": layer.name, "per_channel": True}
    assert quantized.from_config(config).get_config() == config


def test_a_qdq_layer_says_how_it_was_made():
    config = QDQ(decay=0.9, name="x_qdq").get_config()
    assert QDQ.from_config(config).get_config() == config
    assert config["decay"] == 0.9


@needs_bfloat16
def test_in_mixed_precision_ranges_and_rounding_stay_float32():
    layer, batch = QDQ(dtype="mixed_bfloat16"), tf.constant(batches(1)[0])
    found = layer(batch, training=True)
    assert found.dtype == tf.bfloat16
    assert layer.scaling_factor.dtype == "float32"
    largest = float(tf.reduce_max(tf.abs(tf.cast(tf.cast(batch, tf.bfloat16), tf.float32))))
    assert float(layer.scaling_factor) == pytest.approx(largest, rel=1e-6)
    convolution = QuantizedConv2D(24, 3, dtype="mixed_bfloat16")
    with_weights(convolution, (None, 7, 7, 64))
    kernels = []
    maps = tf.ones((1, 7, 7, 64))
    effective = convolution.effective_kernel
    convolution.effective_kernel = lambda: kernels.append(effective()) or kernels[-1]
    assert convolution(maps).dtype == tf.bfloat16
    np.testing.assert_allclose(kernels[0], rounded(np.asarray(convolution.kernel), filters=None), atol=1e-6)
