"""Learning rate schedules, computed inside the compiled step."""

from typing import Any

import keras
import tensorflow as tf

from frcnn.settings.optimizer import ExponentialSettings, SoftStartSettings


@keras.saving.register_keras_serializable("frcnn")
class SoftStart(keras.optimizers.schedules.LearningRateSchedule):
    """Schedule that rises linearly from `start` to `base` and is divided at each annealing point.

    Progress p = step / total_steps. Below `soft_start`: t base + (1 - t) start with t = p / soft_start.
    Afterwards: base / divider ** (number of points below p).
    """

    def __init__(
        self,
        base: float,
        start: float,
        soft_start: float,
        points: tuple[float, ...],
        divider: float,
        total_steps: int,
        decay: float = 0.0,
    ) -> None:
        """Creates the schedule.

        Args:
            base: Learning rate after the soft start.
            start: Learning rate of step 0.
            soft_start: Length of the soft start, as a fraction of `total_steps`.
            points: Annealing points, as fractions of `total_steps`.
            divider: Divisor of the learning rate at each annealing point.
            total_steps: Number of steps over all epochs.
            decay: Decay of the optimizer: the rate is divided by 1 + decay * step.
        """
        self.config: dict[str, Any] = {
            "base": base,
            "start": start,
            "soft_start": soft_start,
            "points": list(points),
            "divider": divider,
            "total_steps": total_steps,
            "decay": decay,
        }

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Computes the learning rate of a step, counted from 0, as a float32 scalar."""
        config = self.config
        progress = tf.cast(step, tf.float32) / config["total_steps"]
        passed = tf.reduce_sum(tf.cast(progress > tf.constant([*config["points"], 2.0**30]), tf.float32))
        rate = config["base"] / tf.pow(tf.constant(config["divider"], tf.float32), passed)
        if config["soft_start"] > 0.0:
            t = progress / config["soft_start"]
            rate = tf.where(t < 1.0, t * config["base"] + (1.0 - t) * config["start"], rate)
        return _decayed(rate, step, config["decay"])

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return self.config


@keras.saving.register_keras_serializable("frcnn")
class Exponential(keras.optimizers.schedules.LearningRateSchedule):
    """Schedule base * gamma ** (step / interval). Specs call it `step`, although it falls smoothly.

    `interval` is total_steps * step_size // 100 steps, at least 1.
    """

    def __init__(
        self, base: float, gamma: float, step_size: float, total_steps: int, decay: float = 0.0
    ) -> None:
        """Creates the schedule.

        Args:
            base: Learning rate of step 0.
            gamma: Factor of the learning rate per interval.
            step_size: Length of the interval, in percent of `total_steps`.
            total_steps: Number of steps over all epochs.
            decay: Decay of the optimizer: the rate is divided by 1 + decay * step.
        """
        self.config: dict[str, Any] = {
            "base": base,
            "gamma": gamma,
            "step_size": step_size,
            "total_steps": total_steps,
            "decay": decay,
        }

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Computes the learning rate of a step, counted from 0, as a float32 scalar."""
        config = self.config
        interval = max(int(config["total_steps"] * config["step_size"] // 100), 1)
        exponent = tf.cast(step, tf.float32) / interval
        rate = config["base"] * tf.pow(tf.constant(config["gamma"], tf.float32), exponent)
        return _decayed(rate, step, config["decay"])

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return self.config


def schedule(
    settings: SoftStartSettings | ExponentialSettings, total_steps: int, *, world: int = 1, decay: float = 0.0
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Creates a learning rate schedule.

    Args:
        settings: Settings of the schedule.
        total_steps: Number of steps over all epochs.
        world: Number of processes; learning rates are multiplied by it.
        decay: Decay of the optimizer.

    Returns:
        Schedule as a function of the step.
    """
    if isinstance(settings, SoftStartSettings):
        return SoftStart(
            settings.base * world,
            settings.start * world,
            settings.soft_start,
            settings.points,
            settings.divider,
            total_steps,
            decay,
        )
    return Exponential(settings.base * world, settings.gamma, settings.step_size, total_steps, decay)


def _decayed(rate: tf.Tensor, step: tf.Tensor, decay: float) -> tf.Tensor:
    """Applies the optimizer's `decay` on top of the schedule, like TAO's Keras 2 optimizers."""
    return rate / (1.0 + decay * tf.cast(step, tf.float32)) if decay else rate
