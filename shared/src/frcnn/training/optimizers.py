"""The optimizer that a spec asks for."""

from typing import TYPE_CHECKING

import keras

from frcnn.training.schedules import schedule

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import TrainingConfig


def optimizer(config: "TrainingConfig", total_steps: int, *, world: int = 1) -> keras.optimizers.Optimizer:
    """Adam, SGD or RMSprop with the spec's schedule; the optimizer's own `lr` is never used.

    Args:
        config: A checked spec's training section.
        total_steps: Of the whole training, over all epochs.
        world: Number of processes; rates are multiplied by it.
    """
    chosen = config.optimizer
    decay = getattr(chosen.adam or chosen.sgd, "decay", 0.0)
    rate = schedule(config.learning_rate, total_steps, world=world, decay=decay)
    if chosen.adam is not None:
        adam = chosen.adam
        return keras.optimizers.Adam(
            rate, beta_1=adam.beta_1, beta_2=adam.beta_2, epsilon=adam.epsilon, amsgrad=adam.amsgrad
        )
    if chosen.sgd is not None:
        return keras.optimizers.SGD(rate, momentum=chosen.sgd.momentum, nesterov=chosen.sgd.nesterov)
    return keras.optimizers.RMSprop(rate)
