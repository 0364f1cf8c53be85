"""ResNet 10, 18, 34, 50 and 101: a C4 body (conv1 and blocks 1 to 3) and block 4 as RoI head.

Source: He et al. 2015, Deep Residual Learning; layout and names as in TAO, so that its weights load by name.
"""

import dataclasses

import keras
from keras import KerasTensor

from frcnn.model.backbones.base import BackboneOptions, conv_bn, pooled_vector

# Units of blocks 1 to 4, and whether a unit is a bottleneck.
VARIANTS = {
    "10": ((1, 1, 1, 1), False),
    "18": ((2, 2, 2, 2), False),
    "34": ((3, 4, 6, 3), False),
    "50": ((3, 4, 6, 3), True),
    "101": ((3, 4, 23, 3), True),
}


@dataclasses.dataclass(frozen=True)
class ResNet:
    """ResNet.

    Attributes:
        units: Numbers of units of blocks 1 to 4.
        bottleneck: Whether a unit has 1x1, 3x3 and 1x1 convolutions instead of two 3x3 convolutions.
        options: Options of the backbone.
    """

    units: tuple[int, ...]
    bottleneck: bool
    options: BackboneOptions

    def body(self, image: KerasTensor) -> KerasTensor:
        """Computes the feature map of stride 16: 256 channels, 1024 with bottlenecks."""
        x = conv_bn(image, self.options, 0, ("conv1", "bn_conv1"), 64, 7, 2)
        x = keras.layers.ReLU(name="conv1_relu")(x)
        if self.options.use_pooling:
            x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
            x = keras.layers.MaxPooling2D(3, 2, name="pool1")(x)
        x = self._block(x, 1, 1 if self.options.use_pooling else 2)
        return self._block(self._block(x, 2, 2), 3, 2)

    def head(self, crops: KerasTensor, downsample: bool) -> KerasTensor:
        """Computes one vector per RoI: 512 values, 2048 with bottlenecks."""
        return pooled_vector(self._block(crops, 4, 2 if downsample else 1))

    def _block(self, x: KerasTensor, block: int, strides: int) -> KerasTensor:
        for unit in range(self.units[block - 1]):
            first = unit == 0
            name = f"block_{block}{_letters(unit)}"
            x = self._unit(x, block, name, strides if first else 1, first or self.options.all_projections)
        return x

    def _unit(self, x: KerasTensor, block: int, name: str, strides: int, project: bool) -> KerasTensor:
        width = 32 * 2**block
        kernels = ((1, width), (3, width), (1, 4 * width)) if self.bottleneck else ((3, width), (3, width))
        y = x
        for index, (kernel, filters) in enumerate(kernels, start=1):
            names = (f"{name}_conv_{index}", f"{name}_bn_{index}")
            y = conv_bn(y, self.options, block, names, filters, kernel, strides if index == 1 else 1)
            if index < len(kernels):
                y = keras.layers.ReLU(name=f"{name}_relu_{index}")(y)
        if project:
            names = (f"{name}_conv_shortcut", f"{name}_bn_shortcut")
            x = conv_bn(x, self.options, block, names, kernels[-1][1], 1, strides)
        return keras.layers.ReLU(name=f"{name}_relu")(keras.layers.Add(name=f"{name}_add")([y, x]))


def create(variant: str, options: BackboneOptions) -> ResNet:
    """Creates `resnet:10`, `resnet:18`, `resnet:34`, `resnet:50` or `resnet:101`."""
    units, bottleneck = VARIANTS[variant]
    return ResNet(units, bottleneck, options)


def _letters(unit: int) -> str:
    """Returns the name of a unit within its block, as in TAO: a, b, ... z, aa, ab, ..."""
    last = chr(ord("a") + unit % 26)
    return last if unit < 26 else _letters(unit // 26 - 1) + last
