"""What every backbone is, and the options that specs give to backbones."""

import dataclasses
from collections.abc import Iterable
from typing import Any, Protocol

import keras
from keras import KerasTensor

from frcnn.errors import ModelError
from frcnn.model.layers import BatchNormalization, Conv2D

# He et al. 2015, by fan out: that of a depthwise kernel is its 9 or 25 places. Keras' default divides by all
# channels as well: the maps behind would be smaller than batch normalisation's epsilon, and its moving
# variance, which begins at 1, would take a thousand steps down to them; until then a detector finds nothing.
INITIALIZER: dict[str, Any] = {"class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_out"}}


@dataclasses.dataclass(frozen=True)
class BackboneOptions:
    """The fields of `model_config` that shape a backbone; tao-style defaults."""

    use_bias: bool = False
    use_pooling: bool = False
    all_projections: bool = False
    freeze_bn: bool = False
    freeze_blocks: frozenset[int] = frozenset()
    dropout_rate: float = 0.0
    drop_connect_rate: float = 0.0
    activation: str = ""


class Backbone(Protocol):
    """A body and a head, built from one set of options."""

    def body(self, image: KerasTensor) -> KerasTensor:
        """Feature map [B, h, w, D] of stride 16 of an image [B, H, W, channels]."""
        ...

    def head(self, crops: KerasTensor, downsample: bool) -> KerasTensor:
        """One vector a pooled RoI, [N, E], of crops [N, S, S, D].

        With `downsample` the crops are twice the pool size and the head's first stage halves them.
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
    **conv_options: Any,
) -> KerasTensor:
    """Convolution and batch normalisation named `names`; frozen when its block is.

    Freezing a block freezes its convolutions only: gamma and beta go on learning, as in the reference.
    """
    conv_options.setdefault("use_bias", options.use_bias)
    trainable = block not in options.freeze_blocks
    conv = Conv2D(filters, kernel, strides=strides, trainable=trainable, name=names[0], **conv_options)
    return BatchNormalization(frozen=options.freeze_bn, name=names[1])(conv(inputs))


def depthwise_bn(
    inputs: KerasTensor,
    options: BackboneOptions,
    block: int,
    names: tuple[str, str, str],
    strides: int = 1,
) -> KerasTensor:
    """3x3 depthwise convolution with one zero on every side, and batch normalisation.

    `names` are those of the padding, the convolution and the normalisation.
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
    """The average over each map [N, P, P, E], as a vector [N, E]: how all heads but VGG's end."""
    x = keras.layers.AveragePooling2D(maps.shape[1], name="avg_pool")(maps)
    return keras.layers.Flatten(name="time_distributed_flatten")(x)


def refuse_unknown(family: str, variant: str, variants: Iterable[str]) -> None:
    """Raises ModelError, naming those there are, if a family has no such variant."""
    known = sorted(variants)
    if variant not in known:
        names = ", ".join(f"{family}:{one}" if one else family for one in known)
        found = f"{family}:{variant}" if variant else family
        raise ModelError(f"model_config.arch: {found!r} is unknown; expected one of {names}")
