"""What a spec changes in a model that was read from a file, and what it cannot change."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.errors import ModelError
from frcnn.model.build import geometry_of
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import BatchNormalization
from frcnn.model.qat.insert import is_qat, set_per_channel, to_qat

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

log = logging.getLogger(__name__)


def for_retraining(model: FasterRCNN, spec: "Experiment", path: Path) -> FasterRCNN:
    """A model from a file as the spec wants it trained.

    Graph and weights are the file's. The spec's are anchors, coding, whether normalisation is frozen, and
    quantisation; losses, matching, NMS and the regulariser are never in the file. As in the reference
    `arch`, `freeze_blocks`, `use_bias` and their like have no say.

    Args:
        model: From `path`; of the spec's classes and input size. It may be changed.
        spec: A checked spec.
        path: For messages.

    Raises:
        ModelError: The spec wants what the file's graph cannot be; both sides are named.
    """
    have, wanted = model.geometry, geometry_of(spec)
    for what, old, new in (
        ("channels of an image", have.channels, wanted.channels),
        ("anchors a cell", len(have.scales) * len(have.ratios), len(wanted.scales) * len(wanted.ratios)),
        ("cells a side of a pooled RoI", have.crop_size, wanted.crop_size),
    ):
        if old != new:
            raise ModelError(f"{path}: has {old} {what}, the spec {new}: they are part of its graph")
    for what in ("scales", "ratios", "code_weights"):
        old, new = getattr(have, what), getattr(wanted, what)
        if old != new:
            log.warning("%s: %s were %s, the spec says %s: they have to be learnt anew", path, what, old, new)
    changed = FasterRCNN(model.features, model.roi_head, wanted, name=model.name)
    for part in (changed.features, changed.roi_head):
        for layer in part.layers:
            if isinstance(layer, BatchNormalization):
                layer.frozen = spec.model_config.freeze_bn
    return quantised(changed, spec)


def quantised(model: FasterRCNN, spec: "Experiment") -> FasterRCNN:
    """The model that rounds as the spec's training section says: a float one is rewritten if need be."""
    config = spec.training_config
    if is_qat(model):
        set_per_channel(model, config.qat_per_channel_weights)
    elif config.enable_qat:
        log.info("kernels and activations are rounded to 8 bits from now on (enable_qat)")
        return to_qat(model, per_channel=config.qat_per_channel_weights)
    return model
