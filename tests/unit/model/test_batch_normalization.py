"""The fused layer, compared with Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from frcnn.model.layers import BatchNormalization
from tests.support.bfloat16 import needs_bfloat16


def pair(**options: object) -> tuple[BatchNormalization, keras.layers.BatchNormalization]:
    random = np.random.default_rng(0)
    ours, theirs = BatchNormalization(**options), keras.layers.BatchNormalization()
    weights = [random.uniform(0.5, 1.5, 4).astype(np.float32) for _ in range(4)]
    for layer in (ours, theirs):
        layer.build((None, 5, 6, 4))
        layer.set_weights(weights)
    return ours, theirs


MAPS = np.random.default_rng(1).normal(1.0, 2.0, (3, 5, 6, 4)).astype(np.float32)


def test_inference_equals_keras():
    ours, theirs = pair()
    np.testing.assert_allclose(ours(MAPS, training=False), theirs(MAPS, training=False), rtol=1e-5, atol=1e-5)


def test_training_equals_keras_and_moves_the_statistics_alike():
    ours, theirs = pair()
    np.testing.assert_allclose(ours(MAPS, training=True), theirs(MAPS, training=True), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, rtol=1e-5)
    # The fused kernel reports the variance of a sample (divided by n - 1): 90 values here.
    batch = (theirs.moving_variance.numpy() - 0.99 * pair()[0].moving_variance.numpy()) / 0.01
    expected = 0.99 * pair()[0].moving_variance.numpy() + 0.01 * batch * 90 / 89
    np.testing.assert_allclose(ours.moving_variance, expected, rtol=1e-5)


def test_frozen_statistics_stay_while_gamma_and_beta_learn():
    layer, _ = pair(frozen=True)
    before = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(MAPS, training=True) ** 2)
    gradients = tape.gradient(loss, [variable.value for variable in layer.trainable_weights])
    np.testing.assert_array_equal(layer.moving_mean, before[0])
    np.testing.assert_array_equal(layer.moving_variance, before[1])
    assert [variable.name for variable in layer.trainable_weights] == ["gamma", "beta"]
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)


@pytest.mark.parametrize("frozen", [True, False])
def test_the_configuration_survives_a_round_trip(frozen):
    layer = BatchNormalization.from_config(BatchNormalization(frozen=frozen, epsilon=0.01).get_config())
    assert (layer.frozen, layer.epsilon) == (frozen, 0.01)


@needs_bfloat16
def test_sixteen_bit_maps_stay_sixteen_bit():
    layer = BatchNormalization(dtype="mixed_bfloat16")
    assert layer(tf.cast(MAPS, tf.bfloat16), training=True).dtype == tf.bfloat16
    assert layer.moving_mean.dtype == "float32"
