"""How fast batch normalization's moving statistics follow the batches of a training."""

import tensorflow as tf

# The average reaches back over about this part of the steps done: weights of early steps are another
# network's statistics, and those of too few batches are noise. docs/accuracy.md has the figures.
PART = 1.0 / 8.0


def following_momentum(step: tf.Tensor) -> tf.Tensor:
    """Momentum of the moving statistics at a step counted from 0, float32 scalar.

    Step 0 takes its batch as it is, whatever was there before; from then on the average reaches back over
    `PART` of the steps done, until a layer's own momentum (0.99, a hundred steps) is the smaller one.
    """
    done = tf.cast(step, tf.float32)
    return done / (done + 1.0 / PART)
