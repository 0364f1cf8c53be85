"""GoogLeNet with batch normalization: inceptions 3a to 4e as body, 5a and 5b as RoI head.

Source: Szegedy et al. 2014, Going Deeper with Convolutions, and Ioffe and Szegedy 2015.
"""

import dataclasses

import keras
from keras import KerasTensor

from frcnn.model.backbones.base import BackboneOptions, conv_bn, pooled_vector

# Filters of 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5 and pool projection. The body's block ids are 1 to 7; the
# head has none.
INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
BODY = ("3a", "3b", "4a", "4b", "4c", "4d", "4e")


@dataclasses.dataclass(frozen=True)
class GoogLeNet:
    """GoogLeNet, with batch normalization and ReLU after every convolution."""

    options: BackboneOptions

    def body(self, image: KerasTensor) -> KerasTensor:
        """Computes the feature map of stride 16, 832 channels."""
        x = self._conv(image, 0, ("conv1", "bn_conv1"), 64, 7, 2)
        x = keras.layers.MaxPooling2D(2, 2, name="pool1")(x)
        x = self._conv(x, 0, ("conv2_reduce", "bn_conv2_reduce"), 64, 1)
        x = self._conv(x, 0, ("conv2", "bn_conv2"), 192, 3)
        x = keras.layers.MaxPooling2D(2, 2, name="pool2")(x)
        for block, name in enumerate(BODY, start=1):
            if name == "4a":
                x = keras.layers.MaxPooling2D(2, 2, name="pool3")(x)
            x = self._inception(x, block, name)
        return x

    def head(self, crops: KerasTensor, downsample: bool) -> KerasTensor:
        """Computes 1024 values per RoI."""
        x = keras.layers.MaxPooling2D(2, 2, name="pool4")(crops) if downsample else crops
        return pooled_vector(self._inception(self._inception(x, None, "5a"), None, "5b"))

    def _inception(self, x: KerasTensor, block: int | None, name: str) -> KerasTensor:
        one, reduce_3, three, reduce_5, five, projection = INCEPTIONS[name]
        branches = [
            self._branch(x, block, name, "1x1", one, 1),
            self._branch(
                self._branch(x, block, name, "3x3_reduce", reduce_3, 1), block, name, "3x3", three, 3
            ),
            self._branch(
                self._branch(x, block, name, "5x5_reduce", reduce_5, 1), block, name, "5x5", five, 5
            ),
            self._branch(self._pool(x, name), block, name, "pool_proj", projection, 1),
        ]
        return keras.layers.Concatenate(name=f"inception_{name}_output")(branches)

    def _pool(self, x: KerasTensor, name: str) -> KerasTensor:
        # The inputs are outputs of ReLU, so zero padding does not change the maximum.
        return keras.layers.MaxPooling2D(3, 1, padding="same", name=f"inception_{name}_pool")(x)

    def _branch(
        self, x: KerasTensor, block: int | None, inception: str, kind: str, filters: int, kernel: int
    ) -> KerasTensor:
        name = f"inception_{inception}_{kind}"
        return self._conv(x, block, (name, f"{name}_bn"), filters, kernel)

    def _conv(
        self,
        x: KerasTensor,
        block: int | None,
        names: tuple[str, str],
        filters: int,
        kernel: int,
        strides: int = 1,
    ) -> KerasTensor:
        """Applies a convolution, batch normalization and ReLU."""
        x = conv_bn(x, self.options, block, names, filters, kernel, strides)
        return keras.layers.ReLU(name=f"{names[0]}_relu")(x)


def create(variant: str, options: BackboneOptions) -> GoogLeNet:
    """Creates `googlenet`."""
    return GoogLeNet(options)
