"""L1 and L2 penalties of kernels, added to the gradients."""

from collections.abc import Callable, Iterable, Sequence

import keras
import tensorflow as tf

from frcnn.model.settings import TrainingSettings


def regularize(
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
    layers: Iterable[keras.layers.Layer],
    settings: TrainingSettings,
    scale: Callable[[tf.Tensor], tf.Tensor],
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Adds the gradient of the penalty to the gradients of kernels.

    Mathematically equal to a penalty in the loss, in one op per kernel. Only kernels of convolutions and
    dense layers are regularized; biases, batch normalization and depthwise kernels are not.

    Args:
        gradients: Scaled gradients.
        variables: Their variables.
        layers: Layers of the model.
        settings: Settings of the training, with kind and weight of the penalty.
        scale: Function that scales a loss as the gradients are scaled.

    Returns:
        Tuple of the scaled gradients and the penalty, which is not scaled.
    """
    if settings.regularizer == "NO_REG":
        return list(gradients), tf.constant(0.0)
    weight, kernels = settings.regularizer_weight, _kernels(layers)
    penalized, penalty = [], []
    for gradient, variable in zip(gradients, variables, strict=True):
        if id(variable) not in kernels:
            penalized.append(gradient)
        elif settings.regularizer == "L1":
            penalized.append(gradient + scale(weight * tf.sign(variable.value)))
            penalty.append(weight * tf.reduce_sum(tf.abs(variable.value)))
        else:
            penalized.append(gradient + scale(2.0 * weight * variable.value))
            penalty.append(2.0 * weight * tf.nn.l2_loss(variable.value))
    return penalized, tf.add_n(penalty)


def _kernels(layers: Iterable[keras.layers.Layer]) -> set[int]:
    """Returns the ids of the kernels of dense and convolution layers, except depthwise ones."""
    return {
        id(layer.kernel) for layer in layers if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
    }
