"""Creates the optimizer that a spec asks for."""

from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from frcnn.training.schedules import schedule

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import TrainingConfig


@keras.saving.register_keras_serializable("frcnn")
class RMSprop(keras.optimizers.RMSprop):
    """RMSprop with epsilon outside the square root, as in Keras 2 and therefore in TAO.

    Keras 3 adds epsilon under the root, where 1e-7 outweighs the squares of small gradients. For gradients of
    1e-5, updates then are a few percent of those that the learning rate of an old spec was chosen for.
    """

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        """Updates a variable: v = rho v + (1 - rho) g^2; w = w - rate g / (sqrt(v) + epsilon).

        Args:
            gradient: Gradient g.
            variable: Weight w.
            learning_rate: Rate, float scalar.
        """
        gradient = tf.cast(gradient, variable.dtype)
        velocity = self._velocities[self._get_variable_index(variable)]
        self.assign(velocity, self.rho * velocity + (1.0 - self.rho) * tf.square(gradient))
        step = tf.cast(learning_rate, variable.dtype) * gradient / (tf.sqrt(velocity) + self.epsilon)
        self.assign_sub(variable, step)


def optimizer(config: "TrainingConfig", total_steps: int, *, world: int = 1) -> keras.optimizers.Optimizer:
    """Creates Adam, SGD or RMSprop with the spec's schedule.

    The `lr` field of the optimizer's configuration is ignored.

    Args:
        config: Training section of a checked spec.
        total_steps: Number of steps over all epochs.
        world: Number of processes; learning rates are multiplied by it.

    Returns:
        Optimizer, not yet built.
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
    return RMSprop(rate)
