"""Builds a detector with fresh weights."""

import keras
from keras import KerasTensor

from frcnn.model.backbones import backbone
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import Conv2D
from frcnn.model.settings import ModelSettings

RPN_CHANNELS = 512


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
    x = Conv2D(RPN_CHANNELS, 3, activation="relu", name="rpn_conv1")(features)
    scores = Conv2D(kinds, 1, activation="sigmoid", dtype="float32", name="rpn_out_class")(x)
    return scores, Conv2D(4 * kinds, 1, dtype="float32", name="rpn_out_regress")(x)


def _answers(vector: KerasTensor, classes: int) -> list[KerasTensor]:
    probabilities = keras.layers.Dense(
        classes + 1, activation="softmax", dtype="float32", name="dense_class_td"
    )(vector)
    return [probabilities, keras.layers.Dense(4 * classes, dtype="float32", name="dense_regress_td")(vector)]
