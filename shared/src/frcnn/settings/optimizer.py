"""Settings of the optimizer and the learning rate, resolved from the spec."""

from dataclasses import dataclass

from frcnn.spec.schema.training import LRConfig, TrainingConfig


@dataclass(frozen=True)
class SoftStartSettings:
    """Learning rate that rises linearly and is divided at each annealing point.

    Attributes:
        base: Learning rate after the soft start.
        start: Learning rate of step 0.
        soft_start: Length of the soft start, as a fraction of all steps.
        points: Annealing points, as fractions of all steps.
        divider: Divisor of the learning rate at each annealing point.
    """

    base: float
    start: float
    soft_start: float
    points: tuple[float, ...]
    divider: float


@dataclass(frozen=True)
class ExponentialSettings:
    """Learning rate that falls exponentially.

    Attributes:
        base: Learning rate of step 0.
        gamma: Factor of the learning rate per interval.
        step_size: Length of the interval, in percent of all steps.
    """

    base: float
    gamma: float
    step_size: float


@dataclass(frozen=True)
class AdamSettings:
    """Settings of the Adam optimizer."""

    beta_1: float
    beta_2: float
    epsilon: float
    amsgrad: bool


@dataclass(frozen=True)
class SgdSettings:
    """Settings of stochastic gradient descent."""

    momentum: float
    nesterov: bool


@dataclass(frozen=True)
class RmspropSettings:
    """RMSprop; the spec sets none of its parameters."""


@dataclass(frozen=True)
class OptimizerSettings:
    """Optimizer and learning rate.

    Attributes:
        method: Optimizer with its parameters.
        schedule: Learning rate schedule.
        decay: Decay on top of the schedule: the rate is divided by 1 + decay * step.
    """

    method: AdamSettings | SgdSettings | RmspropSettings
    schedule: SoftStartSettings | ExponentialSettings
    decay: float = 0.0


def optimizer_settings(training: TrainingConfig) -> OptimizerSettings:
    """Resolves optimizer and learning rate. The `lr` field of an optimizer has no effect, as in TAO.

    Args:
        training: Section of a checked spec.

    Returns:
        Settings of the optimizer.
    """
    chosen, schedule = training.optimizer, schedule_settings(training.learning_rate)
    if chosen.adam is not None:
        adam = chosen.adam
        method = AdamSettings(adam.beta_1, adam.beta_2, adam.epsilon, adam.amsgrad)
        return OptimizerSettings(method, schedule, adam.decay)
    if chosen.sgd is not None:
        sgd = chosen.sgd
        return OptimizerSettings(SgdSettings(sgd.momentum, sgd.nesterov), schedule, sgd.decay)
    return OptimizerSettings(RmspropSettings(), schedule)


def schedule_settings(config: LRConfig) -> SoftStartSettings | ExponentialSettings:
    """Resolves the learning rate schedule.

    Args:
        config: Section of a checked spec.

    Returns:
        Settings of the schedule.

    Raises:
        ValueError: The section sets neither `soft_start` nor `step`, so it was not checked.
    """
    soft, step = config.soft_start, config.step
    if soft is not None:
        return SoftStartSettings(
            soft.base_lr, soft.start_lr, soft.soft_start, tuple(soft.annealing_points), soft.annealing_divider
        )
    if step is None:
        raise ValueError("a checked spec has one of soft_start and step")
    return ExponentialSettings(step.base_lr, step.gamma, step.step_size)
