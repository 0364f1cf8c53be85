"""Warns if the moving statistics of batch normalization will be unreliable."""

import logging

import keras

from frcnn.model.faster_rcnn import FasterRCNN

log = logging.getLogger(__name__)

# With fewer images, a single one dominates the statistics of every layer.
FEW_IMAGES = 16
INSTEAD = "Use pretrained weights with model_config.freeze_bn: true to keep their statistics"


def remark_on_statistics(model: FasterRCNN, images: int, batch_size: int) -> None:
    """Warns about few training images or a batch size of 1 if moving statistics are learned.

    Args:
        model: Model to train.
        images: Number of training images.
        batch_size: Images per step and process.
    """
    if not _learns_statistics(model):
        return
    if images < FEW_IMAGES:
        log.warning(
            "Batch normalization: %d training images are too few for statistics that generalize; "
            "expected %d or more. %s.",
            images,
            FEW_IMAGES,
            INSTEAD,
        )
    elif batch_size == 1:
        log.warning(
            "Batch normalization: with batch_size_per_gpu: 1, training normalizes each image by itself, "
            "which evaluation cannot reproduce; expected 4 or more. %s.",
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
