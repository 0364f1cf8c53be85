"""VGG 16 and 19 with batch normalization (`vgg:16`, `vgg:19`), and the classic network for `vgg16`.

Source: Simonyan and Zisserman 2014. The head's two dense layers take the flattened RoI.
"""

import dataclasses

import keras
from keras import KerasTensor

from frcnn.model.backbones.base import BackboneOptions, conv_bn
from frcnn.model.layers import Conv2D

# Convolutions of blocks 1 to 5.
VARIANTS = {"16": (2, 2, 3, 3, 3), "19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)
HEAD_WIDTH = 4096


@dataclasses.dataclass(frozen=True)
class Vgg:
    """VGG.

    Attributes:
        depths: Numbers of convolutions of each block.
        classic: Whether to use biases and pooling without normalization.
        options: Options of the backbone.
    """

    depths: tuple[int, ...]
    classic: bool
    options: BackboneOptions

    def body(self, image: KerasTensor) -> KerasTensor:
        """Computes the feature map of stride 16, 512 channels."""
        x = image
        pooling = self.classic or self.options.use_pooling
        for block, (depth, width) in enumerate(zip(self.depths, WIDTHS, strict=True), start=1):
            for index in range(depth):
                strides = 2 if index == 0 and block > 1 and not pooling else 1
                x = self._conv(x, block, index, width, strides)
            if pooling and block < len(WIDTHS):
                x = keras.layers.MaxPooling2D(2, 2, name=f"block{block}_pool")(x)
        return x

    def head(self, crops: KerasTensor, downsample: bool) -> KerasTensor:
        """Computes 4096 values per RoI."""
        x = crops
        if downsample:
            x = keras.layers.MaxPooling2D(2, 2, name="block5_pool")(x)
        x = keras.layers.Flatten(name="time_distributed_flatten")(x)
        for name in ("fc1", "fc2"):
            x = keras.layers.Dense(HEAD_WIDTH, activation="relu", name=name)(x)
            if self.options.dropout_rate > 0.0:
                x = keras.layers.Dropout(self.options.dropout_rate, name=f"{name}_dropout")(x)
        return x

    def _conv(self, x: KerasTensor, block: int, index: int, width: int, strides: int) -> KerasTensor:
        if self.classic:
            trainable = block not in self.options.freeze_blocks
            name = f"block{block}_conv{index + 1}"
            return Conv2D(width, 3, activation="relu", trainable=trainable, name=name)(x)
        unit = f"block_{block}{'abcd'[index]}"
        x = conv_bn(x, self.options, block, (f"{unit}_conv_1", f"{unit}_bn_1"), width, 3, strides)
        return keras.layers.ReLU(name=f"{unit}_relu")(x)


def create(variant: str, options: BackboneOptions) -> Vgg:
    """Creates `vgg:16` or `vgg:19`."""
    return Vgg(VARIANTS[variant], classic=False, options=options)
