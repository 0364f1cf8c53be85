"""`frcnn.prune`: prunes a trained model."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.api.backend import use_tensorflow
from frcnn.api.booleans import checked_booleans
from frcnn.api.keys import resolved_key
from frcnn.api.locations import Location, local_output, model_file
from frcnn.console.quiet_import import quiet_tensorflow_import
from frcnn.errors import UsageError
from frcnn.packages import needed_for
from frcnn.pruning.settings import Criterion, Normalizer, PruneSettings
from frcnn.single_writer import only_writer_of

if TYPE_CHECKING:
    from frcnn.pruning.report import PruneReport

REPORT = "pruning.json"  # file name of the report in commands and steps
DEFAULT_THRESHOLD = PruneSettings.pruning_threshold


@dataclasses.dataclass(frozen=True)
class PruneResult:
    """Result of a pruning or of a dry run.

    Attributes:
        model: Pruned model file; None in a dry run.
        report: All figures.
    """

    model: Path | None
    report: "PruneReport" = dataclasses.field(repr=False)

    @property
    def pruning_ratio(self) -> float:
        """Fraction of the parameters that remain, 0 to 1."""
        return self.report.pruning_ratio

    @property
    def flops_ratio(self) -> float:
        """Fraction of the operations that remain, 0 to 1."""
        return self.report.flops_ratio

    @property
    def threshold(self) -> float:
        """Threshold that was given, or found for the targets."""
        return self.report.threshold

    def table(self) -> str:
        """Returns the table that the command prints."""
        return self.report.table()

    def to_dict(self) -> dict[str, object]:
        """Returns the content of `pruning.json`."""
        return self.report.to_dict()


@checked_booleans
@quiet_tensorflow_import()
def prune(
    model: Location,
    output_file: Location | None = None,
    *,
    normalizer: Normalizer = "max",
    equalization_criterion: Criterion = "union",
    pruning_granularity: int = 8,
    pruning_threshold: float | None = None,
    min_num_filters: int = 16,
    excluded_layers: Sequence[str] = (),
    target_params: float | None = None,
    target_flops: float | None = None,
    rois: int = 300,
    key: str | Path | None = None,
    force: bool = False,
) -> PruneResult:
    """Removes the least important filters; retrain the model afterwards (`retrain_pruned_model`).

    Args:
        model: Trained model, as `frcnn.load` takes it.
        output_file: Pruned model: `.tlt` is sealed with the key, `.keras` is plain. None for a dry run, which
            writes nothing.
        normalizer: Divisor of the norms of a layer's filters: their maximum, or their L2 norm.
        equalization_criterion: Method that combines the scores of layers that must keep the same filters.
        pruning_granularity: Layers keep a multiple of this many filters, or all.
        pruning_threshold: Threshold; filters with a higher normalized norm are kept. Default 0.1.
        min_num_filters: Minimum number of filters of a layer.
        excluded_layers: Names of layers that keep all filters.
        target_params: Largest fraction of the parameters to keep, 0 to 1; the threshold is searched for it.
        target_flops: Largest fraction of the operations to keep, 0 to 1; the threshold is searched for it.
        rois: Number of RoIs per image for which operations are counted.
        key: Key of both files, or a `pathlib.Path` of its file.
        force: Whether to replace `output_file` if it exists.

    Returns:
        The figures, and the pruned model file.

    Raises:
        UsageError: An argument is invalid, the output exists, or a target cannot be reached.
        ModelError: The model cannot be loaded, or its weights are not finite.
    """
    if pruning_threshold is not None and (target_params is not None or target_flops is not None):
        raise UsageError(
            f"pruning_threshold {pruning_threshold:g} and a target contradict each other: the threshold is "
            "searched for the target. Give only one of them.",
            argument="pruning_threshold",
        )
    settings = PruneSettings(
        normalizer=normalizer,
        equalization_criterion=equalization_criterion,
        pruning_granularity=pruning_granularity,
        pruning_threshold=DEFAULT_THRESHOLD if pruning_threshold is None else pruning_threshold,
        min_num_filters=min_num_filters,
        excluded_layers=tuple(excluded_layers),
        target_params=target_params,
        target_flops=target_flops,
        rois=rois,
    )
    use_tensorflow()
    secret = resolved_key(key)
    with model_file(model) as path, needed_for("pruning", "train"):
        target = None if output_file is None else _target(output_file, path, secret, force=force)
        return prune_file(path, target, settings, secret)


def prune_file(path: Path, target: Path | None, settings: PruneSettings, key: str) -> PruneResult:
    """Prunes the model in a file.

    Args:
        path: Trained model.
        target: Pruned model, sealed if it ends in `.tlt` and there is a key; None for a dry run.
        settings: Pruning settings.
        key: Key of both files; empty for plain files.

    Returns:
        The figures, and `target`.

    Raises:
        UsageError: A target cannot be reached.
        ModelError: The model cannot be loaded, or its weights are not finite.
        PlaceBusyError: Another run writes the same file.
    """
    from frcnn.model.files.checkpoint import load_model, save_model
    from frcnn.model.files.training_record import TrainingRecord
    from frcnn.pruning.prune import plan_detector
    from frcnn.pruning.prune import prune as prune_model

    if target is None:
        return PruneResult(None, plan_detector(load_model(path, key)[0], settings).report)
    with only_writer_of(target):
        trained, record = load_model(path, key)
        result = prune_model(trained, settings)
        # Keep the origin of the model and discard its training history.
        kept = TrainingRecord(record.arch, record.class_names, spec_text=record.spec_text)
        save_model(result.model, target, kept, key if target.suffix == ".tlt" else "")
        return PruneResult(target, result.report)


def _target(output_file: Location, model: Path, key: str, *, force: bool) -> Path:
    target = local_output(output_file, "output_file")
    if target.suffix not in (".tlt", ".keras"):
        raise UsageError(
            f"output_file {target}: expected a name in .keras, or in .tlt for a sealed file",
            argument="output_file",
        )
    if target.suffix == ".tlt" and not key:
        raise UsageError(
            f"output_file {target}: a .tlt file requires a key; give one, or choose a name in .keras",
            argument="output_file",
        )
    if target.exists() and not force:
        what = "is the model itself" if target.resolve() == model.resolve() else "exists"
        raise UsageError(
            f"output_file {target}: {what}; choose another file, or set force to replace it",
            argument="output_file",
        )
    return target
