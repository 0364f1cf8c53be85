"""MobileNetV2: inverted residuals 0 to 12 as body; 13 to 16 and the last convolution as RoI head.

Source: Sandler et al. 2018, MobileNetV2; with ReLU instead of ReLU6, as in TAO. The momentum of batch
normalization is 0.99, as in all other backbones. With 0.999, a third of the initial moving statistics would
remain after a thousand steps, and evaluation would use a different network than training.
"""

import dataclasses

import keras
from keras import KerasTensor

from frcnn.model.backbones.base import BackboneOptions, conv_bn, depthwise_bn, pooled_vector
from frcnn.model.layers import Conv2D

# Filters and strides of blocks 0 to 16; the first 13 are the body.
BLOCKS = (
    (16, 1),
    (24, 2),
    (24, 1),
    (32, 2),
    (32, 1),
    (32, 1),
    (64, 2),
    *((64, 1),) * 3,
    *((96, 1),) * 3,
    *((160, 1),) * 3,
    (320, 1),
)
BODY_BLOCKS = 13
EXPANSION = 6
LAST_WIDTH = 1280


@dataclasses.dataclass(frozen=True)
class MobileNetV2:
    """MobileNetV2. Blocks expand, convolve depthwise and project; matching inputs are added."""

    options: BackboneOptions

    def body(self, image: KerasTensor) -> KerasTensor:
        """Computes the feature map of stride 16, 96 channels."""
        x = keras.layers.ZeroPadding2D(1, name="conv1_pad")(image)
        x = conv_bn(x, self.options, 0, ("conv1", "bn_conv1"), 32, 3, 2, padding="valid")
        x = keras.layers.ReLU(name="re_lu_conv1")(x)
        for block, (filters, strides) in enumerate(BLOCKS[:BODY_BLOCKS]):
            x = self._block(x, block, filters, strides)
        return x

    def head(self, crops: KerasTensor, downsample: bool) -> KerasTensor:
        """Computes 1280 values per RoI."""
        x = crops
        for block, (filters, _) in enumerate(BLOCKS[BODY_BLOCKS:], start=BODY_BLOCKS):
            x = self._block(x, block, filters, 2 if downsample and block == BODY_BLOCKS else 1)
        x = conv_bn(x, self.options, None, ("conv_1", "conv_1_bn"), LAST_WIDTH, 1)
        return pooled_vector(keras.layers.ReLU(name="out_relu")(x))

    def _block(self, inputs: KerasTensor, block: int, filters: int, strides: int) -> KerasTensor:
        prefix = f"block_{block}" if block else "expanded_conv"
        frozen_id = block + 1
        channels = inputs.shape[-1]
        x = inputs
        if block:
            names = (f"{prefix}_expand", f"{prefix}_expand_bn")
            x = conv_bn(x, self.options, frozen_id, names, EXPANSION * channels, 1)
            x = keras.layers.ReLU(name=f"{prefix}_expand_relu")(x)
        depthwise = f"{prefix}_depthwise"
        x = depthwise_bn(
            x, self.options, frozen_id, (f"{depthwise}_pad", depthwise, f"{depthwise}_bn"), strides
        )
        x = keras.layers.ReLU(name=f"{prefix}_depthwise_relu")(x)
        names = (f"{prefix}_project", f"{prefix}_project_bn")
        x = conv_bn(x, self.options, frozen_id, names, filters, 1)
        if channels != filters or strides != 1:
            return x
        if self.options.all_projections:
            inputs = Conv2D(
                filters,
                1,
                use_bias=self.options.use_bias,
                trainable=frozen_id not in self.options.freeze_blocks,
                name=f"{prefix}_projected_inputs",
            )(inputs)
        return keras.layers.Add(name=f"{prefix}_add")([inputs, x])


def create(variant: str, options: BackboneOptions) -> MobileNetV2:
    """Creates `mobilenet_v2`."""
    return MobileNetV2(options)
