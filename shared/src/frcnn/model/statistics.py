"""Momentum of the moving averages of a training: normalization statistics and weights."""

import tensorflow as tf

# Fraction of the completed steps that an average covers. Statistics of old steps do not fit the current
# weights, and those of few batches are noisy; weights benefit from a longer average (docs/accuracy.md).
STATISTICS_PART = 1.0 / 20.0
WEIGHTS_PART = 1.0 / 8.0


def following_momentum(step: tf.Tensor, part: float) -> tf.Tensor:
    """Computes the momentum of an average at a step.

    Step 0 replaces the previous value; afterwards the average covers `part` of the completed steps.

    Args:
        step: Step, counted from 0.
        part: Fraction of the completed steps to cover.

    Returns:
        Momentum, float32 scalar.
    """
    done = tf.cast(step, tf.float32)
    return done / (done + 1.0 / part)
