"""Each optimizer's steps against the formulas of Keras 2, which old specs were tuned with, in numpy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from frcnn.settings.optimizer import optimizer_settings
from frcnn.spec.schema.training import (
    AdamOptimizerConfig,
    LRConfig,
    OptimizerConfig,
    RmspropOptimizerConfig,
    SgdOptimizerConfig,
    StepLrConfig,
    TrainingConfig,
)
from frcnn.training.optimizers import optimizer
from frcnn.training.schedules import schedule

RATE, STEPS, EPSILON = 0.01, 6, 1e-7


def configured(**chosen) -> TrainingConfig:
    step = StepLrConfig(base_lr=RATE, gamma=1.0, step_size=30.0)
    return TrainingConfig(
        optimizer=OptimizerConfig(**chosen), learning_rate=LRConfig(step=step), batch_size_per_gpu=1
    )


def gradients(size):
    return np.random.default_rng(3).normal(0.0, size, (STEPS, 5))


def stepped(config, values):
    variable = keras.Variable(np.zeros(5, np.float32))
    chosen = optimizer(optimizer_settings(config), total_steps=STEPS)
    chosen.build([variable])
    apply = tf.function(lambda gradient: chosen.apply_gradients([(gradient, variable)]))
    for value in values:
        apply(tf.constant(value, tf.float32))
    return variable.numpy()


def by_rmsprop(values, rho=0.9):
    place, mean = np.zeros(5), np.zeros(5)
    for value in values:
        mean = rho * mean + (1 - rho) * value**2
        place -= RATE * value / (np.sqrt(mean) + EPSILON)
    return place


def by_adam(values, beta_1=0.9, beta_2=0.999):
    place, first, second = np.zeros(5), np.zeros(5), np.zeros(5)
    for step, value in enumerate(values, start=1):
        first = beta_1 * first + (1 - beta_1) * value
        second = beta_2 * second + (1 - beta_2) * value**2
        rate = RATE * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        place -= rate * first / (np.sqrt(second) + EPSILON)
    return place


def by_momentum(values, momentum=0.9):
    place, speed = np.zeros(5), np.zeros(5)
    for value in values:
        speed = momentum * speed - RATE * value
        place += speed
    return place


@pytest.mark.parametrize("size", [1.0, 1e-3, 1e-5, 1e-7])
def test_rmsprop_moves_as_in_keras_2_however_small_the_gradients(size):
    values = gradients(size)
    found = stepped(configured(rmsprop=RmspropOptimizerConfig()), values)
    np.testing.assert_allclose(found, by_rmsprop(values), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("size", [1.0, 1e-5])
def test_adam_moves_as_in_keras_2(size):
    values = gradients(size)
    found = stepped(configured(adam=AdamOptimizerConfig()), values)
    np.testing.assert_allclose(found, by_adam(values), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("size", [1.0, 1e-5])
def test_sgd_moves_as_in_keras_2(size):
    values = gradients(size)
    found = stepped(configured(sgd=SgdOptimizerConfig(momentum=0.9)), values)
    np.testing.assert_allclose(found, by_momentum(values), rtol=1e-4)


def test_a_checkpoint_of_keras_rmsprop_still_has_slots_that_fit():
    """The state of a run that began with Keras's own class is taken over: same kind, same shapes."""
    config = configured(rmsprop=RmspropOptimizerConfig())
    own, former = (
        optimizer(optimizer_settings(config), STEPS),
        keras.optimizers.RMSprop(schedule(optimizer_settings(config).schedule, STEPS)),
    )
    for each in (own, former):
        each.build([keras.Variable(np.zeros(5, np.float32))])
    assert type(own).__name__ == type(former).__name__
    assert [tuple(each.shape) for each in own.variables] == [tuple(each.shape) for each in former.variables]
