"""MobileNet: depthwise separable blocks 1 to 11 as body, 12 and 13 as RoI head.

Source: Howard et al. 2017, MobileNets.
"""

import dataclasses

import keras
from keras import KerasTensor

from frcnn.model.backbones.base import BackboneOptions, conv_bn, depthwise_bn, pooled_vector

# Filters and strides of blocks 1 to 11.
BODY = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5)
HEAD_WIDTH = 1024


@dataclasses.dataclass(frozen=True)
class MobileNetV1:
    """MobileNet of depthwise 3x3 and 1x1 convolutions, each with batch normalization and ReLU."""

    options: BackboneOptions

    def body(self, image: KerasTensor) -> KerasTensor:
        """Computes the feature map of stride 16, 512 channels."""
        x = keras.layers.ZeroPadding2D(1, name="conv1_pad")(image)
        x = conv_bn(x, self.options, 0, ("conv1", "conv1_bn"), 32, 3, 2, padding="valid")
        x = keras.layers.ReLU(name="conv1_relu")(x)
        for block, (filters, strides) in enumerate(BODY, start=1):
            x = self._block(x, block, filters, strides)
        return x

    def head(self, crops: KerasTensor, downsample: bool) -> KerasTensor:
        """Computes 1024 values per RoI."""
        x = self._block(crops, 12, HEAD_WIDTH, 2 if downsample else 1)
        return pooled_vector(self._block(x, 13, HEAD_WIDTH, 1))

    def _block(self, x: KerasTensor, block: int, filters: int, strides: int) -> KerasTensor:
        names = (f"conv_pad_{block}", f"conv_dw_{block}", f"conv_dw_{block}_bn")
        x = depthwise_bn(x, self.options, block, names, strides)
        x = keras.layers.ReLU(name=f"conv_dw_{block}_relu")(x)
        x = conv_bn(x, self.options, block, (f"conv_pw_{block}", f"conv_pw_{block}_bn"), filters, 1)
        return keras.layers.ReLU(name=f"conv_pw_{block}_relu")(x)


def create(variant: str, options: BackboneOptions) -> MobileNetV1:
    """Creates `mobilenet_v1`."""
    return MobileNetV1(options)
