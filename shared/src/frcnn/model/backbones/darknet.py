"""DarkNet 19 and 53 with leaky ReLU of slope 0.1; the last block is the RoI head.

Source: Redmon and Farhadi 2016 (YOLO9000) and 2018 (YOLOv3).
"""

import dataclasses

import keras
from keras import KerasTensor

from frcnn.model.backbones.base import BackboneOptions, conv_bn, pooled_vector

SLOPE = 0.1
# Filters and kernel sizes of DarkNet-19's blocks 1 to 5.
BLOCKS_19 = (
    ((64, 3),),
    ((128, 3), (64, 1), (128, 3)),
    ((256, 3), (128, 1), (256, 3)),
    ((512, 3), (256, 1), (512, 3), (256, 1), (512, 3)),
    ((1024, 3), (512, 1), (1024, 3), (512, 1), (1024, 3)),
)
# Residual units of DarkNet-53 after conv2 to conv6.
UNITS_53 = (1, 2, 8, 8, 4)


@dataclasses.dataclass(frozen=True)
class DarkNet19:
    """DarkNet-19: a max-pooling layer before each of blocks 1 to 4; block 5 is the head."""

    options: BackboneOptions

    def body(self, image: KerasTensor) -> KerasTensor:
        """Computes the feature map of stride 16, 512 channels."""
        x = _conv(image, self.options, 0, "conv1", 32, 3)
        for block in range(1, 5):
            x = keras.layers.MaxPooling2D(2, 2, name=f"maxpool_{block}")(x)
            x = self._block(x, block, 1)
        return x

    def head(self, crops: KerasTensor, downsample: bool) -> KerasTensor:
        """Computes 1024 values per RoI."""
        return pooled_vector(self._block(crops, 5, 2 if downsample else 1))

    def _block(self, x: KerasTensor, block: int, strides: int) -> KerasTensor:
        for index, (filters, kernel) in enumerate(BLOCKS_19[block - 1], start=1):
            name = f"b{block}_conv{index}"
            x = _conv(x, self.options, block, name, filters, kernel, strides if index == 1 else 1)
        return x


@dataclasses.dataclass(frozen=True)
class DarkNet53:
    """DarkNet-53: conv2 to conv6 are strided and precede residual units; conv6 starts the head."""

    options: BackboneOptions

    def body(self, image: KerasTensor) -> KerasTensor:
        """Computes the feature map of stride 16, 512 channels."""
        x = _conv(image, self.options, 0, "conv1", 32, 3)
        for block in range(1, 5):
            x = self._stage(x, block, 2)
        return x

    def head(self, crops: KerasTensor, downsample: bool) -> KerasTensor:
        """Computes 1024 values per RoI."""
        return pooled_vector(self._stage(crops, 5, 2 if downsample else 1))

    def _stage(self, x: KerasTensor, block: int, strides: int) -> KerasTensor:
        width = 32 * 2**block
        x = _conv(x, self.options, block, f"conv{block + 1}", width, 3, strides)
        for unit in range(1, UNITS_53[block - 1] + 1):
            name = f"b{block}_conv{unit}"
            y = _conv(x, self.options, block, f"{name}_1", width // 2, 1)
            y = _conv(y, self.options, block, f"{name}_2", width, 3)
            x = keras.layers.Add(name=f"b{block}_add{unit}")([x, y])
        return x


def create(variant: str, options: BackboneOptions) -> DarkNet19 | DarkNet53:
    """Creates `darknet:19` or `darknet:53`."""
    return DarkNet19(options) if variant == "19" else DarkNet53(options)


def _conv(
    x: KerasTensor,
    options: BackboneOptions,
    block: int,
    name: str,
    filters: int,
    kernel: int,
    strides: int = 1,
) -> KerasTensor:
    """Applies a convolution, batch normalization and leaky ReLU."""
    x = conv_bn(x, options, block, (name, f"{name}_bn"), filters, kernel, strides)
    return keras.layers.LeakyReLU(SLOPE, name=f"{name}_lrelu")(x)
