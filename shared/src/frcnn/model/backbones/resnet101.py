"""ResNet-101 with the layer names of Keras Applications, under the legacy name `resnet101`.

Source: He et al. 2015. It exists for specs and weight files with these names; new specs should use
`resnet:101`.
"""

import dataclasses
from typing import Any

import keras
from keras import KerasTensor

from frcnn.model.backbones.base import BackboneOptions, conv_bn, pooled_vector

UNITS = {2: 3, 3: 4, 4: 23, 5: 3}
EPSILON = 1.001e-5


@dataclasses.dataclass(frozen=True)
class LegacyResNet101:
    """ResNet-101: stem and stacks conv2 to conv4 as body, conv5 as head."""

    options: BackboneOptions

    def body(self, image: KerasTensor) -> KerasTensor:
        """Computes the feature map of stride 16, 1024 channels."""
        x = keras.layers.ZeroPadding2D(3, name="conv1_pad")(image)
        x = self._conv_bn(x, 0, "conv1", 64, 7, 2, use_bias=self.options.use_bias, padding="valid")
        x = keras.layers.ReLU(name="conv1_relu")(x)
        x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = keras.layers.MaxPooling2D(3, 2, name="pool1_pool")(x)
        return self._stack(self._stack(self._stack(x, 2, 1), 3, 2), 4, 2)

    def head(self, crops: KerasTensor, downsample: bool) -> KerasTensor:
        """Computes 2048 values per RoI."""
        return pooled_vector(self._stack(crops, 5, 2 if downsample else 1))

    def _stack(self, x: KerasTensor, stack: int, strides: int) -> KerasTensor:
        for unit in range(1, UNITS[stack] + 1):
            x = self._unit(x, stack, unit, strides if unit == 1 else 1)
        return x

    def _unit(self, x: KerasTensor, stack: int, unit: int, strides: int) -> KerasTensor:
        width, name, block = 16 * 2**stack, f"conv{stack}_block{unit}", stack - 1
        shortcut = self._conv_bn(x, block, f"{name}_0", 4 * width, 1, strides) if unit == 1 else x
        y = keras.layers.ReLU(name=f"{name}_1_relu")(self._conv_bn(x, block, f"{name}_1", width, 1, strides))
        y = keras.layers.ReLU(name=f"{name}_2_relu")(self._conv_bn(y, block, f"{name}_2", width, 3))
        y = self._conv_bn(y, block, f"{name}_3", 4 * width, 1)
        y = keras.layers.Add(name=f"{name}_add")([shortcut, y])
        return keras.layers.ReLU(name=f"{name}_out")(y)

    def _conv_bn(
        self,
        x: KerasTensor,
        block: int,
        name: str,
        filters: int,
        kernel: int,
        strides: int = 1,
        use_bias: bool = True,
        padding: str = "same",
    ) -> KerasTensor:
        """Applies a convolution and batch normalization."""
        names = (f"{name}_conv", f"{name}_bn")
        options: dict[str, Any] = {"use_bias": use_bias, "padding": padding, "epsilon": EPSILON}
        return conv_bn(x, self.options, block, names, filters, kernel, strides, **options)


def create(variant: str, options: BackboneOptions) -> LegacyResNet101:
    """Creates `resnet101`."""
    return LegacyResNet101(options)
