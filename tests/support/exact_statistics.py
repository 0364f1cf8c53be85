"""Batch normalization's statistics as they are, not as a training remembers them."""

from collections.abc import Iterable

import tensorflow as tf

from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import statistics_momentum


def take_exact_statistics(model: FasterRCNN, batches: Iterable[dict[str, tf.Tensor]]) -> None:
    """Makes the moving statistics the means over `batches`, training batches, of less than a hundred.

    The model's settings and optimizer must be there, as after a training.
    """
    seen = tf.Variable(0.0, trainable=False)

    @tf.function
    def look(batch: dict[str, tf.Tensor]) -> None:
        with statistics_momentum(seen / (seen + 1.0)):
            model.compute_losses(batch)

    for batch in batches:
        look(batch)
        seen.assign_add(1.0)
