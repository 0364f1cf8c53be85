"""Says where batch normalization's moving statistics cannot be trusted."""

import logging

import keras

from frcnn.model.faster_rcnn import FasterRCNN

log = logging.getLogger(__name__)

# With fewer, one picture decides what every layer takes for normal.
FEW_IMAGES = 16
INSTEAD = "pretrained weights with model_config.freeze_bn: true keep the pretraining's instead"


def remark_on_statistics(model: FasterRCNN, images: int, batch_size: int) -> None:
    """Warns of few training images, or of a batch of one, where moving statistics follow the training.

    Args:
        model: About to be trained.
        images: Of the training set.
        batch_size: Of one process.
    """
    if not _learns_statistics(model):
        return
    if images < FEW_IMAGES:
        log.warning(
            "batch normalization: %d training images are too few for statistics that hold for others, "
            "expected %d or more; %s",
            images,
            FEW_IMAGES,
            INSTEAD,
        )
    elif batch_size == 1:
        log.warning(
            "batch normalization: with batch_size_per_gpu: 1 training normalizes each image by itself, which "
            "evaluation cannot repeat; expected 4 or more; %s",
            INSTEAD,
        )


def _learns_statistics(model: FasterRCNN) -> bool:
    layers = (*model.features.layers, *model.roi_head.layers)
    return any(
        isinstance(layer, keras.layers.BatchNormalization)
        and layer.trainable
        and not getattr(layer, "frozen", False)
        for layer in layers
    )
