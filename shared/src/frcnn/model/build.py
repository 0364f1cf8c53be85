"""Builds a detector with fresh weights."""

from typing import Any

import keras
from keras import KerasTensor

from frcnn.model.backbones import backbone
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import Conv2D
from frcnn.model.settings import ModelSettings

RPN_CHANNELS = 512
# Ren et al. 2015, section 3.1.3. Larger ones, as in TAO, start with a box loss four times as high
# (docs/adr/0087-initial-weights.md).
RPN_INITIALIZER: dict[str, Any] = {"class_name": "RandomNormal", "config": {"stddev": 0.01}}
# Uniform within 1 / sqrt(inputs), as PyTorch's.
DENSE_INITIALIZER: dict[str, Any] = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1.0 / 3.0, "mode": "fan_in", "distribution": "uniform"},
}


def build(settings: ModelSettings) -> FasterRCNN:
    """Builds a detector with fresh weights.

    Args:
        settings: Settings of the graph.

    Returns:
        The detector.

    Raises:
        ModelError: The architecture is unknown.
    """
    geometry = settings.geometry
    parts = backbone(settings.arch, settings.backbone)
    image = keras.Input((geometry.height, geometry.width, geometry.channels), name="input_image")
    body = parts.body(image)
    features = keras.Model(
        image, [body, *_rpn(body, len(geometry.scales) * len(geometry.ratios))], name="features"
    )
    crops = keras.Input((geometry.crop_size, geometry.crop_size, body.shape[-1]), name="crops")
    vector = parts.head(crops, settings.halved_crops)
    head = keras.Model(crops, _answers(vector, len(geometry.class_names)), name="roi_head")
    return FasterRCNN(features, head, geometry)


def _rpn(features: KerasTensor, kinds: int) -> tuple[KerasTensor, KerasTensor]:
    x = _rpn_conv(RPN_CHANNELS, 3, "rpn_conv1", activation="relu")(features)
    scores = _rpn_conv(kinds, 1, "rpn_out_class", activation="sigmoid", dtype="float32")(x)
    return scores, _rpn_conv(4 * kinds, 1, "rpn_out_regress", dtype="float32")(x)


def _rpn_conv(filters: int, kernel: int, name: str, **options: str) -> Conv2D:
    return Conv2D(filters, kernel, kernel_initializer=RPN_INITIALIZER, name=name, **options)


def _answers(vector: KerasTensor, classes: int) -> list[KerasTensor]:
    return [
        _dense(classes + 1, "dense_class_td", activation="softmax")(vector),
        _dense(4 * classes, "dense_regress_td")(vector),
    ]


def _dense(units: int, name: str, **options: str) -> keras.layers.Dense:
    return keras.layers.Dense(
        units, kernel_initializer=DENSE_INITIALIZER, dtype="float32", name=name, **options
    )
