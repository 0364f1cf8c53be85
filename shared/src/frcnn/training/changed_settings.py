"""Compares the spec with that of the checkpoint to resume from."""

import dataclasses
import enum
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from frcnn.errors import ModelError, SpecError
from frcnn.model.files.checkpoint import TrainingRecord
from frcnn.spec.load import parse_experiment

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

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


class Change(NamedTuple):
    """Spec field with its values before and after; `None` where it is not set."""

    path: str
    old: object
    new: object

    def __str__(self) -> str:
        """Formats the change as `training_config.lambda_rpn_regr: 1.0 -> 2.0`."""
        return f"{self.path}: {_shown(self.old)} -> {_shown(self.new)}"


def apply_changes(record: TrainingRecord, spec: "Experiment", path: Path) -> None:
    """Logs every setting that differs from the checkpoint's. The new values apply from now on.

    Args:
        record: Training record of the checkpoint.
        spec: Current spec.
        path: Checkpoint, for messages.

    Raises:
        ModelError: A field that the file fixes has changed; the message gives both values.
    """
    if not record.spec_text:
        return
    try:
        before = parse_experiment(record.spec_text, f"the spec in {path}", remarks=False).spec
    except SpecError as error:
        log.warning("Cannot compare the settings with those of the checkpoint: %s", error)
        return
    changes = [change for change in _changes(before, spec, "") if not change.path.startswith(_SILENT)]
    fixed = [change for change in changes if change.path.startswith(_FIXED)]
    if fixed:
        lines = "\n  ".join(
            f"{each.path}: {_shown(each.old)} in the file, {_shown(each.new)} in the spec" for each in fixed
        )
        raise ModelError(
            f"{path}: cannot resume, because the spec describes a different network:\n  {lines}\n"
            "Set these fields back, or start a new training with the file as pretrained_weights."
        )
    for change in changes:
        log.warning("Changed since the checkpoint: %s", change)


def _changes(old: object, new: object, path: str) -> Iterator[Change]:
    """Yields the fields in which two configurations differ, down to single values."""
    if dataclasses.is_dataclass(old) and type(old) is type(new):
        for field in dataclasses.fields(old):
            name = f"{path}.{field.name}" if path else field.name
            yield from _changes(getattr(old, field.name), getattr(new, field.name), name)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _changes(old.get(key), new.get(key), f"{path}[{key!r}]")
    elif old != new:
        yield Change(path, old, new)


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    if dataclasses.is_dataclass(value):
        set_ = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return ", ".join(f"{name} {each}" for name, each in set_.items() if each is not None)
    return value.name if isinstance(value, enum.Enum) else str(value)
