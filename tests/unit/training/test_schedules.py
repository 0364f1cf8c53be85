"""Learning rates against golden numbers."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from frcnn.settings.optimizer import schedule_settings
from frcnn.spec import LRConfig, SoftStartAnnealingConfig, StepLrConfig
from frcnn.training.schedules import Exponential, SoftStart, schedule

STEPS = 10000
SOFT = {
    "base": 0.02,
    "start": 0.002,
    "soft_start": 0.1,
    "points": (0.8, 0.9),
    "divider": 10.0,
    "total_steps": STEPS,
}
FALLING = {"base": 0.01, "gamma": 0.1, "step_size": 30.0, "total_steps": 1000}


@pytest.mark.parametrize(
    ("progress", "rate"),
    [
        (0, 0.002),
        (0.05, 0.011),
        (0.1, 0.02),
        (0.5, 0.02),
        (0.8, 0.02),
        (0.8001, 0.002),
        (0.9, 0.002),
        (0.95, 0.0002),
    ],
)
def test_soft_start_gives_the_golden_rates(progress, rate):
    np.testing.assert_allclose(SoftStart(**SOFT)(round(progress * STEPS)), rate, rtol=1e-5)


def test_equal_points_divide_as_often_as_they_stand():
    rates = [float(SoftStart(**{**SOFT, "points": (0.8, 0.8, 0.9)})(step)) for step in (8000, 8001, 9001)]
    np.testing.assert_allclose(rates, [0.02, 0.02 / 10**2, 0.02 / 10**3], rtol=1e-5)


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 0.01), (150, 0.00316228), (300, 0.001), (450, 0.00031623), (1000, 4.64e-6)]
)
def test_step_falls_smoothly_through_the_golden_rates(step, rate):
    np.testing.assert_allclose(Exponential(**FALLING)(step), rate, rtol=1e-3 if step == 1000 else 1e-5)


@pytest.mark.parametrize("step", [0, 1, 999, 1000, 1001, 7999, 8000, 8001, 9000, 9001, 10000])
def test_soft_start_agrees_with_the_plain_formula(step):
    p = step / STEPS
    t = p / 0.1
    expected = t * 0.02 + (1 - t) * 0.002 if p < 0.1 else 0.02 / 10 ** sum(p > point for point in (0.8, 0.9))
    np.testing.assert_allclose(SoftStart(**SOFT)(step), expected, rtol=1e-5)


def test_no_soft_start_begins_at_the_base_rate():
    np.testing.assert_allclose(SoftStart(**{**SOFT, "soft_start": 0.0})(0), 0.02)


def test_no_points_never_anneal():
    np.testing.assert_allclose(SoftStart(**{**SOFT, "points": ()})(STEPS), 0.02)


def test_an_interval_below_one_step_counts_as_one():
    np.testing.assert_allclose(Exponential(**{**FALLING, "step_size": 0.0})(2), 0.01 * 0.1**2, rtol=1e-5)


def test_decay_comes_on_top():
    np.testing.assert_allclose(Exponential(**FALLING, decay=0.01)(150), 0.00316228 / 2.5, rtol=1e-5)


def test_the_spec_chooses_the_schedule_and_processes_multiply_the_rates():
    soft = SoftStartAnnealingConfig(
        base_lr=0.01, start_lr=0.001, soft_start=0.1, annealing_points=(0.8,), annealing_divider=2.0
    )
    chosen = schedule(schedule_settings(LRConfig(soft_start=soft)), 100, world=4)
    np.testing.assert_allclose([chosen(0), chosen(50), chosen(90)], [0.004, 0.04, 0.02], rtol=1e-5)
    step = StepLrConfig(base_lr=0.01, gamma=0.5, step_size=10.0)
    chosen = schedule(schedule_settings(LRConfig(step=step)), 100, world=2)
    np.testing.assert_allclose(
        [chosen(0), chosen(10), chosen(5)], [0.02, 0.01, 0.02 / math.sqrt(2)], rtol=1e-5
    )


@pytest.mark.parametrize("made", [SoftStart(**SOFT), Exponential(**FALLING)], ids=["soft_start", "step"])
def test_a_saved_schedule_goes_on_as_before_and_runs_in_a_graph(made):
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(made))
    graph = tf.function(again)
    for step in (0, 17, 500, 900):
        np.testing.assert_allclose(graph(tf.constant(step, tf.int64)), made(step), rtol=1e-6)
