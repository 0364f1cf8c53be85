"""What every backbone is, and the options that specs give to backbones."""

import dataclasses
from typing import Protocol

from keras import KerasTensor

from frcnn.model.layers import BatchNormalization, Conv2D


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
) -> KerasTensor:
    """Convolution and batch normalisation named `names`; frozen when its block is.

    Freezing a block freezes its convolutions only: gamma and beta go on learning, as in the reference.
    """
    conv = Conv2D(
        filters,
        kernel,
        strides=strides,
        use_bias=options.use_bias,
        trainable=block not in options.freeze_blocks,
        name=names[0],
    )
    norm = BatchNormalization(frozen=options.freeze_bn, name=names[1])
    return norm(conv(inputs))
