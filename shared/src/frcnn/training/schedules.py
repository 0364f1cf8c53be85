"""Learning rate as a function of the step, computed inside the compiled step."""

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import LRConfig


@keras.saving.register_keras_serializable("frcnn")
class SoftStart(keras.optimizers.schedules.LearningRateSchedule):
    """Linear from `start` to `base` over the first part, then `base`, divided at each annealing point.

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
        """`soft_start` and `points` are fractions of `total_steps`; `decay` as in `_decayed`."""
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
        """The rate of a step counted from 0, float32 scalar."""
        config = self.config
        progress = tf.cast(step, tf.float32) / config["total_steps"]
        passed = tf.reduce_sum(tf.cast(progress > tf.constant([*config["points"], 2.0**30]), tf.float32))
        rate = config["base"] / tf.pow(tf.constant(config["divider"], tf.float32), passed)
        if config["soft_start"] > 0.0:
            t = progress / config["soft_start"]
            rate = tf.where(t < 1.0, t * config["base"] + (1.0 - t) * config["start"], rate)
        return _decayed(rate, step, config["decay"])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return self.config


@keras.saving.register_keras_serializable("frcnn")
class Exponential(keras.optimizers.schedules.LearningRateSchedule):
    """base * gamma ** (step / interval): what specs call `step`, though it falls smoothly.

    `interval` is total_steps * step_size // 100 steps, at least 1.
    """

    def __init__(
        self, base: float, gamma: float, step_size: float, total_steps: int, decay: float = 0.0
    ) -> None:
        """`step_size` is in percent of `total_steps`; `decay` as in `_decayed`."""
        self.config: dict[str, Any] = {
            "base": base,
            "gamma": gamma,
            "step_size": step_size,
            "total_steps": total_steps,
            "decay": decay,
        }

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The rate of a step counted from 0, float32 scalar."""
        config = self.config
        interval = max(int(config["total_steps"] * config["step_size"] // 100), 1)
        exponent = tf.cast(step, tf.float32) / interval
        rate = config["base"] * tf.pow(tf.constant(config["gamma"], tf.float32), exponent)
        return _decayed(rate, step, config["decay"])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return self.config


def schedule(
    config: "LRConfig", total_steps: int, *, world: int = 1, decay: float = 0.0
) -> keras.optimizers.schedules.LearningRateSchedule:
    """The schedule a checked spec asks for, its rates times the number of processes."""
    if config.soft_start is not None:
        soft = config.soft_start
        return SoftStart(
            soft.base_lr * world,
            soft.start_lr * world,
            soft.soft_start,
            tuple(soft.annealing_points),
            soft.annealing_divider,
            total_steps,
            decay,
        )
    step = config.step
    if step is None:
        raise ValueError("a checked spec has one of soft_start and step")
    return Exponential(step.base_lr * world, step.gamma, step.step_size, total_steps, decay)


def _decayed(rate: tf.Tensor, step: tf.Tensor, decay: float) -> tf.Tensor:
    """The optimizer's own `decay` on top of the schedule, as the reference's Keras 2 optimizers had it."""
    return rate / (1.0 + decay * tf.cast(step, tf.float32)) if decay else rate
