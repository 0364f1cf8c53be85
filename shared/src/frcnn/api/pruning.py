"""`frcnn.prune`: a narrower model from a trained one."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.api.backend import use_tensorflow
from frcnn.api.keys import resolved_key
from frcnn.api.locations import Location, local_output, model_file
from frcnn.errors import UsageError
from frcnn.packages import needed_for
from frcnn.pruning.settings import Criterion, Normalizer, PruneSettings

if TYPE_CHECKING:
    from frcnn.pruning.report import PruneReport

REPORT = "pruning.json"  # what commands and steps call the numbers of a pruning
DEFAULT_THRESHOLD = PruneSettings.pruning_threshold


@dataclasses.dataclass(frozen=True)
class PruneResult:
    """What was pruned, or would be.

    Attributes:
        model: The pruned model; None of a dry run.
        report: All numbers.
    """

    model: Path | None
    report: "PruneReport" = dataclasses.field(repr=False)

    @property
    def pruning_ratio(self) -> float:
        """Share of the parameters that is left, 0 to 1."""
        return self.report.pruning_ratio

    @property
    def flops_ratio(self) -> float:
        """Share of the operations that is left, 0 to 1."""
        return self.report.flops_ratio

    @property
    def threshold(self) -> float:
        """The threshold that was given, or found for the targets."""
        return self.report.threshold

    def table(self) -> str:
        """Returns the table that the command prints."""
        return self.report.table()

    def to_dict(self) -> dict[str, object]:
        """Returns what `pruning.json` holds."""
        return self.report.to_dict()


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
    """Removes the filters of a model that matter least; train it again afterwards (`retrain_pruned_model`).

    Args:
        model: A trained model, as `frcnn.load` takes it.
        output_file: The pruned model: `.tlt` is sealed with the key if there is one, `.keras` is plain. None
            for a dry run: nothing is written.
        normalizer: What the norms of a layer's filters are divided by: their maximum, or their L2 norm.
        equalization_criterion: How layers that must keep the same filters agree.
        pruning_granularity: Layers keep a multiple of so many filters, or all.
        pruning_threshold: Filters whose normalized norm is above it are kept; 0.1 by default.
        min_num_filters: Least number of filters of a layer.
        excluded_layers: Names of layers whose filters all stay.
        target_params: Share of the parameters that may be left, 0 to 1; the threshold is searched for it.
        target_flops: The same for operations.
        rois: RoIs of an image that operations are counted for.
        key: Key of both files, or a `pathlib.Path` of its file.
        force: Replace `output_file` if it exists.

    Returns:
        The numbers, and the pruned model.

    Raises:
        UsageError: An argument cannot be right, the output exists, or a target is out of reach.
        ModelError: The model cannot be loaded, or has weights that are not finite.
    """
    if pruning_threshold is not None and (target_params is not None or target_flops is not None):
        raise UsageError(
            f"pruning_threshold {pruning_threshold:g} and a target contradict each other: a target is what "
            "the threshold is searched for; give one of them",
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
    with model_file(model) as path, needed_for("pruning"):
        target = None if output_file is None else _target(output_file, path, secret, force=force)
        return prune_file(path, target, settings, secret)


def prune_file(path: Path, target: Path | None, settings: PruneSettings, key: str) -> PruneResult:
    """Prunes the model in a file.

    Args:
        path: The trained model.
        target: The pruned one, sealed if it ends in `.tlt` and there is a key; None for a dry run.
        settings: How to prune.
        key: Of both files.
    """
    from frcnn.model.files.checkpoint import TrainingRecord, load_model, save_model
    from frcnn.pruning.prune import plan_detector
    from frcnn.pruning.prune import prune as prune_model

    trained, record = load_model(path, key)
    if target is None:
        return PruneResult(None, plan_detector(trained, settings).report)
    result = prune_model(trained, settings)
    # What training did is forgotten, what made the model is kept.
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
            f"output_file {target}: a .tlt file is sealed, and there is no key; give one, or end in .keras",
            argument="output_file",
        )
    if target.exists() and not force:
        what = "is the model itself" if target.resolve() == model.resolve() else "exists"
        raise UsageError(
            f"output_file {target}: {what}; name another file, or add force", argument="output_file"
        )
    return target
