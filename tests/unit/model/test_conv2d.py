"""The detector's convolution layer: the plain convolution, whichever way it is computed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from frcnn.model.layers import Conv2D
from tests.support import reference_layers as reference
from tests.support.graph import compiled

DEPTH, FILTERS = 64, 24


def built(side: int = 7, **options) -> tuple[Conv2D, tf.Tensor]:
    """A layer with known weights, bias included, and maps for it."""
    rng = np.random.default_rng(side)
    layer = Conv2D(FILTERS, 3, **options)
    layer.build((None, side, side, DEPTH))
    layer.set_weights([rng.normal(size=weight.shape).astype(np.float32) for weight in layer.weights])
    return layer, tf.constant(rng.normal(size=(6, side, side, DEPTH)).astype(np.float32))


def plain(layer: Conv2D, maps: tf.Tensor) -> tf.Tensor:
    """TensorFlow's own convolution with the layer's weights."""
    return tf.nn.conv2d(maps, layer.kernel.value, layer.strides, "SAME") + layer.bias.value


def relative_error(value, expected) -> float:
    return float(np.abs(np.asarray(value) - np.asarray(expected)).max() / np.abs(np.asarray(expected)).max())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("side", [7, 5, 12])
def test_layer_is_the_plain_convolution(side, training):
    layer, maps = built(side)
    expected = reference.convolve_3x3(maps, layer.kernel) + np.asarray(layer.bias)
    assert relative_error(layer(maps, training=training), expected) < 1e-5


def test_pooled_rois_take_the_fast_route_and_larger_maps_do_not():
    layer, _ = built()
    assert layer.takes_dft((None, 7, 7, DEPTH)) is (not tf.config.list_logical_devices("GPU"))
    assert not layer.takes_dft((None, 24, 78, DEPTH))
    assert not built(strides=2)[0].takes_dft((None, 7, 7, DEPTH))


def test_gradients_of_maps_kernel_and_bias_are_the_plain_ones():
    layer, maps = built()
    weights = tf.constant(np.random.default_rng(1).normal(size=(6, 7, 7, FILTERS)).astype(np.float32))
    sources = [maps, layer.kernel.value, layer.bias.value]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(maps)
        ours = tf.reduce_sum(layer(maps, training=True) * weights)
        theirs = tf.reduce_sum(plain(layer, maps) * weights)
    for slope, expected in zip(tape.gradient(ours, sources), tape.gradient(theirs, sources), strict=True):
        assert relative_error(slope, expected) < 1e-5


def test_a_cached_kernel_gives_the_same_answer_and_is_not_saved():
    layer, maps = built()
    before = layer(maps, training=False)
    layer.cache_kernel(7)
    assert relative_error(layer(maps, training=False), before) < 1e-6
    assert len(layer.weights) == 2


def test_a_released_kernel_takes_no_memory_until_it_is_cached_again():
    layer, maps = built()
    layer.cache_kernel(7)
    before = layer(maps, training=False)
    layer.release_kernel()
    assert tf.size(layer._cached_kernel) == 0
    layer.cache_kernel(7)
    np.testing.assert_array_equal(layer(maps, training=False), before)


@pytest.mark.parametrize("saves_memory", [True, False])
def test_what_the_backward_pass_keeps_does_not_change_training(saves_memory):
    layer, maps = built()
    layer.saves_memory = saves_memory
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(maps, training=True) ** 2)
    slope = tape.gradient(loss, layer.kernel.value)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(plain(layer, maps) ** 2)
    assert relative_error(slope, tape.gradient(loss, layer.kernel.value)) < 1e-5


def test_training_sees_new_weights_at_once_and_inference_after_caching_again():
    layer, maps = built()
    layer.cache_kernel(7)
    layer.kernel.assign(2.0 * layer.kernel)
    assert relative_error(layer(maps, training=True), plain(layer, maps)) < 1e-5
    layer.cache_kernel(7)
    assert relative_error(layer(maps, training=False), plain(layer, maps)) < 1e-5


@pytest.mark.parametrize(("size", "strides"), [(7, 2), (3, 2), (1, 2), (3, 1)])
def test_same_padding_is_symmetric(size, strides):
    rng = np.random.default_rng(2)
    layer = Conv2D(5, size, strides=strides)
    maps = rng.normal(size=(2, 10, 12, 3)).astype(np.float32)
    result = layer(maps)
    half = size // 2
    padded = np.pad(maps, ((0, 0), (half, half), (half, half), (0, 0)))
    expected = tf.nn.conv2d(padded, layer.kernel.value, strides, "VALID")
    np.testing.assert_allclose(result, expected, atol=1e-4)
    assert tuple(layer.compute_output_shape((2, 10, 12, 3))) == result.shape


def test_the_configuration_and_weights_are_those_of_keras():
    layer, _ = built(name="rpn_conv1", activation="relu")
    again = Conv2D.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    twin = keras.layers.Conv2D(FILTERS, 3, padding="same")
    twin.build((None, 7, 7, DEPTH))
    assert [weight.shape for weight in layer.weights] == [weight.shape for weight in twin.weights]
    assert layer.get_config().keys() == twin.get_config().keys()


def test_activation_and_missing_bias_are_honored():
    layer, maps = built(activation="relu", use_bias=False)
    expected = np.maximum(reference.convolve_3x3(maps, layer.kernel), 0.0)
    assert relative_error(layer(maps), expected) < 1e-5


def test_graph_mode_agrees_with_eager():
    layer, maps = built()
    assert relative_error(compiled(layer, maps), layer(maps)) < 1e-6
