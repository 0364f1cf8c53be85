"""How fast averages over the steps of a training follow it: normalization's statistics, and weights."""

import tensorflow as tf

# An average reaches back over about this part of the steps done. Statistics of an earlier network are wrong
# for the present one, those of too few batches are noise; weights gain from more (docs/accuracy.md).
STATISTICS_PART = 1.0 / 20.0
WEIGHTS_PART = 1.0 / 8.0


def following_momentum(step: tf.Tensor, part: float) -> tf.Tensor:
    """Momentum of an average at a step counted from 0, float32 scalar.

    Step 0 is taken as it is, whatever was there before; from then on the average reaches back over `part` of
    the steps done.
    """
    done = tf.cast(step, tf.float32)
    return done / (done + 1.0 / part)
