"""What a training starts from: resume, then retrain, then fresh; the first that the spec names."""

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from frcnn.errors import ModelError, UsageError
from frcnn.model.checkpoint import TrainingRecord, check_fits
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.qat import is_qat

if TYPE_CHECKING:
    from frcnn.spec.config import Experiment

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Start:
    """`path` is the model to resume or retrain; unused for a fresh start."""

    kind: Literal["resume", "retrain", "fresh"]
    path: Path = Path()

    def check(self, model: FasterRCNN, record: TrainingRecord, spec: "Experiment") -> None:
        """Raises ModelError, both sides named, if the file does not fit the spec."""
        check_fits(model, spec, self.path)
        if self.kind == "resume" and record.arch != spec.model_config.arch:
            raise ModelError(
                f"{self.path}: is a {record.arch}; the spec's model_config.arch is {spec.model_config.arch}"
            )
        self._check_quantisation(is_qat(model), spec.training_config.enable_qat)

    def _check_quantisation(self, found: bool, wanted: bool) -> None:
        if found and not wanted:
            raise ModelError(
                f"{self.path}: a model of quantisation-aware training; the spec says "
                "training_config.enable_qat: false; set it to true, or start from the float model"
            )
        if wanted and not found and self.kind == "resume":
            raise ModelError(
                f"{self.path}: a float model; the spec says training_config.enable_qat: true; "
                "set it to false, or name the file in retrain_pruned_model instead of resume_from_model"
            )


def choose_start(spec: "Experiment") -> Start:
    """The start that the spec asks for.

    Raises:
        UsageError: It names a file that is not there.
    """
    config = spec.training_config
    kinds: tuple[tuple[Literal["resume", "retrain"], str, str], ...] = (
        ("resume", "resume_from_model", config.resume_from_model),
        ("retrain", "retrain_pruned_model", config.retrain_pruned_model),
    )
    for kind, field, name in kinds:
        if name:
            if not Path(name).is_file():
                raise UsageError(
                    f"training_config.{field}: {name}: no such file; correct the path or leave the field out"
                )
            return Start(kind, Path(name))
    return Start("fresh")


def warn_of_unsupported(spec: "Experiment") -> None:
    """Says what of the spec this version does without."""
    config = spec.training_config
    if config.visualizer is not None and config.visualizer.enabled:
        log.warning("training_config.visualizer: not supported yet; the run goes on without it")
