"""Interface and common layers of the backbones."""

from typing import Any, Protocol

import keras
from keras import KerasTensor

from frcnn.model.layers import BatchNormalization, Conv2D
from frcnn.model.settings import BackboneOptions as BackboneOptions

# He et al. 2015, by fan-out. Keras's default, which TAO uses, is smaller. Since normalization undoes the size
# of a kernel, each step of the optimizer then turns it further (docs/adr/0087-initial-weights.md). For
# depthwise kernels, whose fan-out is 9 or 25, Keras's default also divides by the number of channels: the
# outputs would be smaller than the epsilon of batch normalization.
INITIALIZER: dict[str, Any] = {"class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_out"}}


class Backbone(Protocol):
    """Body and head, built with the same options."""

    def body(self, image: KerasTensor) -> KerasTensor:
        """Computes the feature map of stride 16 `[B, h, w, D]` of images `[B, H, W, channels]`."""
        ...

    def head(self, crops: KerasTensor, downsample: bool) -> KerasTensor:
        """Computes one vector per pooled RoI.

        Args:
            crops: Pooled RoIs, `[N, S, S, D]`.
            downsample: Whether crops have twice the pool size and the first stage of the head halves them.

        Returns:
            Vectors, `[N, E]`.
        """
        ...


def conv_bn(
    inputs: KerasTensor,
    options: BackboneOptions,
    block: int | None,
    names: tuple[str, str],
    filters: int,
    kernel: int,
    strides: int = 1,
    *,
    epsilon: float | None = None,
    **conv_options: Any,
) -> KerasTensor:
    """Applies a convolution and batch normalization.

    Freezing a block freezes its convolutions only: gamma and beta remain trainable, as in TAO.

    Args:
        inputs: Feature map.
        options: Options of the backbone.
        block: Number of the block for `freeze_blocks`; None if it cannot be frozen.
        names: Names of the convolution and the normalization.
        filters: Number of filters.
        kernel: Side of the kernel.
        strides: Stride.
        epsilon: Epsilon of the normalization; None for that of Keras.
        conv_options: Further arguments of `Conv2D`.

    Returns:
        Normalized feature map.
    """
    conv_options.setdefault("use_bias", options.use_bias)
    conv_options.setdefault("kernel_initializer", INITIALIZER)
    trainable = block not in options.freeze_blocks
    conv = Conv2D(filters, kernel, strides=strides, trainable=trainable, name=names[0], **conv_options)
    given = {} if epsilon is None else {"epsilon": epsilon}
    return BatchNormalization(frozen=options.freeze_bn, name=names[1], **given)(conv(inputs))


def depthwise_bn(
    inputs: KerasTensor, options: BackboneOptions, block: int, names: tuple[str, str, str], strides: int = 1
) -> KerasTensor:
    """Applies a 3x3 depthwise convolution, zero-padded by one, and batch normalization.

    Args:
        inputs: Feature map.
        options: Options of the backbone.
        block: Number of the block for `freeze_blocks`.
        names: Names of the padding, the convolution and the normalization.
        strides: Stride.

    Returns:
        Normalized feature map.
    """
    depthwise = keras.layers.DepthwiseConv2D(
        3,
        strides,
        use_bias=options.use_bias,
        depthwise_initializer=INITIALIZER,
        trainable=block not in options.freeze_blocks,
        name=names[1],
    )
    x = depthwise(keras.layers.ZeroPadding2D(1, name=names[0])(inputs))
    return BatchNormalization(frozen=options.freeze_bn, name=names[2])(x)


def pooled_vector(maps: KerasTensor) -> KerasTensor:
    """Averages each map `[N, P, P, E]` to a vector `[N, E]`, as all heads except VGG's do."""
    x = keras.layers.AveragePooling2D(maps.shape[1], name="avg_pool")(maps)
    return keras.layers.Flatten(name="time_distributed_flatten")(x)
