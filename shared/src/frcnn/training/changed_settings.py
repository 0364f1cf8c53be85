"""Compares the spec with that of the checkpoint to resume from."""

import logging
from pathlib import Path

from frcnn.errors import ModelError, SpecError
from frcnn.model.files.training_record import TrainingRecord
from frcnn.spec.changes import changes, shown

log = logging.getLogger(__name__)

# Fields that determine the graph in the file and the meaning of its outputs.
_FIXED = (
    *(
        "model_config.arch",
        "model_config.input_image_config.size_height_width",
        "model_config.input_image_config.image_type",
    ),
    *("model_config.anchor_box_config", "model_config.rpn_stride", "model_config.roi_pooling_config"),
    *("model_config.use_bias", "model_config.all_projections", "model_config.use_pooling"),
    *("model_config.freeze_bn", "model_config.freeze_blocks", "model_config.activation"),
    *("model_config.dropout_rate", "model_config.drop_connect_rate"),
    *("training_config.classifier_regr_std", "training_config.qat_per_channel_weights"),
)
# Fields without effect on the next step: start of the run, locations of its files, keys.
_SILENT = (
    *("enc_key", "verbose", "inference_config", "evaluation_config.model", "text", "source"),
    *("training_config.resume_from_model", "training_config.retrain_pruned_model"),
    *("training_config.pretrained_weights", "training_config.visualizer"),
)


def apply_changes(record: TrainingRecord, spec_text: str, path: Path) -> None:
    """Logs every setting that differs from the checkpoint's. The new values apply from now on.

    Args:
        record: Training record of the checkpoint.
        spec_text: Text of the current spec.
        path: Checkpoint, for messages.

    Raises:
        ModelError: A field that the file fixes has changed; the message gives both values.
    """
    if not record.spec_text:
        return
    try:
        found = changes(record.spec_text, spec_text, f"the spec in {path}")
    except SpecError as error:
        log.warning("Cannot compare the settings with those of the checkpoint: %s", error)
        return
    found = [change for change in found if not change.path.startswith(_SILENT)]
    fixed = [change for change in found if change.path.startswith(_FIXED)]
    if fixed:
        lines = "\n  ".join(
            f"{each.path}: {shown(each.old)} in the file, {shown(each.new)} in the spec" for each in fixed
        )
        raise ModelError(
            f"{path}: cannot resume, because the spec describes a different network:\n  {lines}\n"
            "Set these fields back, or start a new training with the file as pretrained_weights."
        )
    for change in found:
        log.warning("Changed since the checkpoint: %s", change)
