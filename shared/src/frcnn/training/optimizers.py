"""Creates the optimizer of a training."""

import keras
import tensorflow as tf

from frcnn.settings.optimizer import AdamSettings, OptimizerSettings, SgdSettings
from frcnn.training.schedules import schedule


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


def optimizer(settings: OptimizerSettings, total_steps: int, *, world: int = 1) -> keras.optimizers.Optimizer:
    """Creates Adam, SGD or RMSprop with its schedule.

    Args:
        settings: Settings of the optimizer.
        total_steps: Number of steps over all epochs.
        world: Number of processes; learning rates are multiplied by it.

    Returns:
        Optimizer, not yet built.
    """
    rate = schedule(settings.schedule, total_steps, world=world, decay=settings.decay)
    method = settings.method
    if isinstance(method, AdamSettings):
        return keras.optimizers.Adam(
            rate, beta_1=method.beta_1, beta_2=method.beta_2, epsilon=method.epsilon, amsgrad=method.amsgrad
        )
    if isinstance(method, SgdSettings):
        return keras.optimizers.SGD(rate, momentum=method.momentum, nesterov=method.nesterov)
    return RMSprop(rate)
