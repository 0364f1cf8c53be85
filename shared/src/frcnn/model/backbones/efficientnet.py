"""EfficientNet b0 to b7: stages 1 to 5 as body; 6, 7 and the last 1x1 convolution as RoI head.

Source: Tan and Le 2019, EfficientNet; padding and names of Keras Applications.
"""

import dataclasses
import math
from typing import Any

import keras
from keras import KerasTensor

from frcnn.model.backbones.base import INITIALIZER, BackboneOptions, conv_bn, pooled_vector
from frcnn.model.layers import BatchNormalization, Conv2D
from frcnn.spec.archs import DROP_CONNECT_STEP, EFFICIENTNET_REPEATS, EFFICIENTNETS

BODY_STAGES = 5
TOP_BLOCK = 8
STEM_WIDTH, TOP_WIDTH = 32, 1280
# Width of the squeeze, as a fraction of a block's input channels.
SQUEEZE = 0.25


@dataclasses.dataclass(frozen=True)
class Stage:
    """Stage of `repeats` inverted residuals; the first one has `strides`."""

    kernel: int
    repeats: int
    filters: int
    expansion: int
    strides: int


_KERNELS, _FILTERS = (3, 3, 5, 3, 5, 5, 3), (16, 24, 40, 80, 112, 192, 320)
_EXPANSIONS, _STRIDES = (1, 6, 6, 6, 6, 6, 6), (1, 2, 2, 2, 1, 2, 1)
STAGES = tuple(map(Stage, _KERNELS, EFFICIENTNET_REPEATS, _FILTERS, _EXPANSIONS, _STRIDES))


@dataclasses.dataclass(frozen=True)
class EfficientNet:
    """EfficientNet; `width` and `depth` scale the base network."""

    width: float
    depth: float
    options: BackboneOptions

    def body(self, image: KerasTensor) -> KerasTensor:
        """Computes the feature map of stride 16."""
        x = _pad_for_stride_2(image, 3, "stem_conv_pad")
        x = self._conv_bn(x, 0, ("stem_conv", "stem_bn"), self._filters(STEM_WIDTH), 3, 2, padding="valid")
        x = self._activate(x, "stem_activation")
        for stage in range(1, BODY_STAGES + 1):
            x = self._stage(x, stage, STAGES[stage - 1].strides)
        return x

    def head(self, crops: KerasTensor, downsample: bool) -> KerasTensor:
        """Computes one vector per RoI, of 1280 values or more."""
        x = self._stage(crops, 6, 2 if downsample else 1)
        x = self._stage(x, 7, 1)
        x = self._conv_bn(x, TOP_BLOCK, ("top_conv", "top_bn"), self._filters(TOP_WIDTH), 1)
        x = pooled_vector(self._activate(x, "top_activation"))
        if self.options.dropout_rate > 0.0:
            x = keras.layers.Dropout(self.options.dropout_rate, name="top_dropout")(x)
        return x

    def _stage(self, x: KerasTensor, stage: int, strides: int) -> KerasTensor:
        first = sum(self._repeats(one) for one in STAGES[: stage - 1])
        for unit in range(self._repeats(STAGES[stage - 1])):
            name = f"block{stage}{chr(ord('a') + unit)}"
            rate = self.options.drop_connect_rate * (first + unit) * DROP_CONNECT_STEP
            x = self._block(x, stage, name, strides if unit == 0 else 1, rate)
        return x

    def _block(self, inputs: KerasTensor, stage: int, name: str, strides: int, rate: float) -> KerasTensor:
        layout = STAGES[stage - 1]
        channels, filters = inputs.shape[-1], self._filters(layout.filters)
        expanded = channels * layout.expansion
        x = inputs
        if layout.expansion != 1:
            x = self._conv_bn(x, stage, (f"{name}_expand_conv", f"{name}_expand_bn"), expanded, 1)
            x = self._activate(x, f"{name}_expand_activation")
        x = self._depthwise(x, stage, name, layout.kernel, strides)
        x = self._squeeze_excite(x, stage, name, max(1, int(channels * SQUEEZE)))
        names = (f"{name}_project_conv", f"{name}_project_bn")
        x = self._conv_bn(x, stage, names, filters, 1, use_bias=False)
        if strides != 1 or channels != filters:
            return x
        if rate > 0.0:
            x = keras.layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x)
        return keras.layers.Add(name=f"{name}_add")([x, inputs])

    def _depthwise(self, x: KerasTensor, stage: int, name: str, kernel: int, strides: int) -> KerasTensor:
        if strides == 2:
            x = _pad_for_stride_2(x, kernel, f"{name}_dwconv_pad")
        x = keras.layers.DepthwiseConv2D(
            kernel,
            strides,
            padding="valid" if strides == 2 else "same",
            use_bias=self.options.use_bias,
            depthwise_initializer=INITIALIZER,
            trainable=stage not in self.options.freeze_blocks,
            name=f"{name}_dwconv",
        )(x)
        x = BatchNormalization(frozen=self.options.freeze_bn, name=f"{name}_bn")(x)
        return self._activate(x, f"{name}_activation")

    def _squeeze_excite(self, x: KerasTensor, stage: int, name: str, width: int) -> KerasTensor:
        trainable = stage not in self.options.freeze_blocks
        y = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_se_squeeze")(x)
        y = Conv2D(width, 1, kernel_initializer=INITIALIZER, trainable=trainable, name=f"{name}_se_reduce")(y)
        y = self._activate(y, f"{name}_se_activation")
        y = Conv2D(
            x.shape[-1],
            1,
            activation="sigmoid",
            kernel_initializer=INITIALIZER,
            trainable=trainable,
            name=f"{name}_se_expand",
        )(y)
        return keras.layers.Multiply(name=f"{name}_se_excite")([x, y])

    def _conv_bn(
        self,
        x: KerasTensor,
        block: int,
        names: tuple[str, str],
        filters: int,
        kernel: int,
        strides: int = 1,
        **options: Any,
    ) -> KerasTensor:
        """Applies a convolution and batch normalization."""
        return conv_bn(x, self.options, block, names, filters, kernel, strides, **options)

    def _activate(self, x: KerasTensor, name: str) -> KerasTensor:
        return keras.layers.Activation(self.options.activation or "swish", name=name)(x)

    def _filters(self, base: int) -> int:
        """Scales `base` and rounds it to a multiple of 8, at most 10 % down."""
        scaled = base * self.width
        rounded = max(8, int(scaled + 4) // 8 * 8)
        return rounded if rounded >= 0.9 * scaled else rounded + 8

    def _repeats(self, stage: Stage) -> int:
        return math.ceil(stage.repeats * self.depth)


def create(variant: str, options: BackboneOptions) -> EfficientNet:
    """Creates `efficientnet:b0` to `efficientnet:b7`."""
    return EfficientNet(*EFFICIENTNETS[variant], options)


def _pad_for_stride_2(x: KerasTensor, kernel: int, name: str) -> KerasTensor:
    """Pads with zeros for a strided convolution; even sides get one less at the top or left."""
    half = kernel // 2
    before = [half - (1 - (side or 0) % 2) for side in x.shape[1:3]]
    return keras.layers.ZeroPadding2D(((before[0], half), (before[1], half)), name=name)(x)
