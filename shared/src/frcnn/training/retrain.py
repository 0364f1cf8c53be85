"""Applies settings to a model from a file, and refuses changes that its graph does not allow."""

import logging
from pathlib import Path

from frcnn.errors import ModelError
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import BatchNormalization
from frcnn.model.qat.insert import is_qat, set_per_channel, to_qat
from frcnn.settings.training import QuantizationSettings, TrainingRun

log = logging.getLogger(__name__)


def for_retraining(model: FasterRCNN, run: TrainingRun, path: Path) -> FasterRCNN:
    """Prepares a model from a file for training by a spec.

    Graph and weights come from the file. Anchors, box coding, frozen normalization and quantization come
    from the spec; losses, matching, NMS and the regularizer are never in the file. As in TAO, `arch`,
    `freeze_blocks`, `use_bias` and similar fields have no effect.

    Args:
        model: Detector from `path` with the spec's classes and input size. It may be modified.
        run: Settings of the training.
        path: File of the model, for messages.

    Returns:
        Detector to train.

    Raises:
        ModelError: The spec does not fit the file's graph; the message gives both values.
    """
    have, wanted = model.geometry, run.model.geometry
    for what, old, new in (
        ("image channels", have.channels, wanted.channels),
        ("anchors per cell", len(have.scales) * len(have.ratios), len(wanted.scales) * len(wanted.ratios)),
        ("cells per side of a pooled RoI", have.crop_size, wanted.crop_size),
    ):
        if old != new:
            raise ModelError(
                f"{path} has {old} {what}, the spec {new}. The graph fixes this number; change the spec."
            )
    for what in ("scales", "ratios", "code_weights", "positions_by_stride"):
        old, new = getattr(have, what), getattr(wanted, what)
        if old != new:
            log.warning(
                "%s: %s were %s, the spec says %s. Outputs that depend on them must be relearned.",
                path,
                what,
                old,
                new,
            )
    changed = FasterRCNN(model.features, model.roi_head, wanted, name=model.name)
    for part in (changed.features, changed.roi_head):
        for layer in part.layers:
            if isinstance(layer, BatchNormalization):
                layer.frozen = run.model.backbone.freeze_bn
    return quantized(changed, run.quantization)


def quantized(model: FasterRCNN, settings: QuantizationSettings) -> FasterRCNN:
    """Sets up quantization-aware training; a float model is rewritten if needed.

    Args:
        model: Detector, with or without quantization.
        settings: Settings of the quantization.

    Returns:
        Detector that rounds as the settings require.
    """
    if is_qat(model):
        set_per_channel(model, settings.per_channel)
    elif settings.enabled:
        log.info("Rounding kernels and activations to 8 bits from now on (enable_qat)")
        return to_qat(model, per_channel=settings.per_channel)
    return model
