"""`frcnn.tune`: searches the fields of a spec for the values that give the best detector."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from frcnn.api.backend import use_tensorflow
from frcnn.api.booleans import checked_booleans
from frcnn.api.keys import resolved_key
from frcnn.api.locations import Location, local_output, name_of
from frcnn.api.specs import with_epochs
from frcnn.console.quiet_import import quiet_tensorflow_import
from frcnn.errors import DataError, RunError, UsageError
from frcnn.progress import Progress, reported_to
from frcnn.spec.python_api import given
from frcnn.spec.schema.experiment import Experiment
from frcnn.tuning.results import TuneTrial, best_of, front_of, write_best, write_table
from frcnn.tuning.settings import DIRECTIONS, PRUNERS, TuneSettings
from frcnn.tuning.tuned_spec import TunedSpec

if TYPE_CHECKING:
    from frcnn.tuning.space import Space
    from frcnn.tuning.study import Study

Objective = Literal["mAP", "flops", "latency"]


@dataclasses.dataclass(frozen=True)
class TuneResult:
    """Result of a search.

    Attributes:
        best: Complete trial of the highest mAP.
        settings: Its values of the searched fields, as `--set` takes them: `FIELD=VALUE`.
        spec: File of its spec.
        model: Copy of its best checkpoint.
        front: Complete trials that no other one beats in all objectives, highest mAP first.
        trials: All trials.
        report: HTML page about the search.
        table: CSV file of all trials.
    """

    best: TuneTrial
    settings: tuple[str, ...]
    spec: Path
    model: Path
    front: tuple[TuneTrial, ...] = dataclasses.field(repr=False)
    trials: tuple[TuneTrial, ...] = dataclasses.field(repr=False)
    report: Path
    table: Path


@checked_booleans
@quiet_tensorflow_import()
def tune(
    spec: Experiment | str | os.PathLike[str],
    results_dir: Location,
    *,
    space: Location | None = None,
    archs: Sequence[str] = (),
    trials: int = 20,
    hours: float | None = None,
    jobs: int = 1,
    objectives: Sequence[Objective] = ("mAP",),
    pruner: Literal["asha", "hyperband", "none"] = "asha",
    seed: int | None = None,
    num_epochs: int | None = None,
    use_amp: bool = False,
    strict: bool = False,
    key: str | Path | None = None,
    on_trial: Callable[[TuneTrial], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> TuneResult:
    """Searches the fields of a spec for the values that give the best detector.

    Each trial is an ordinary training in a child process and in a folder of its own. The search is stored
    in `results_dir`. After an interruption or a kill, the same call resumes it, and trials that were running
    resume from their checkpoints.

    Args:
        spec: `Spec` or the name of its file. It needs a validation set.
        results_dir: Folder for the study, the trials and the results; created if missing.
        space: File with the fields to vary, see docs/tuning.md. By default learning rate and schedule,
            anchor scales, RoIs and augmentation.
        archs: Backbones to choose from, in addition to the spec's; only without `space`.
        trials: Number of trials, including those of earlier calls.
        hours: Time limit, h, including the time of earlier calls. Trials that run when the time is up stop
            after their epoch and stay unfinished.
        jobs: Maximum number of concurrent trials.
        objectives: `mAP`, or `mAP` and a cost: `flops` (operations per image) or `latency` (time
            per image on this machine). Two objectives give a Pareto front, and no trial ends early.
        pruner: Rule that ends bad trials early by their mAP after each epoch: successive halving (`asha`),
            `hyperband`, or `none`.
        seed: Seed of the search; by default the spec's `random_seed`.
        num_epochs: Number of epochs of a trial; replaces the spec's.
        use_amp: Whether to compute the layers in 16 bits.
        strict: Whether an unreadable image raises an error; otherwise it is skipped with a warning.
        key: Key that seals the checkpoints, as in `train`.
        on_trial: Called with each trial that ended, in this thread.
        on_progress: Called with the number of trials done, at most four times per second, in this thread.

    Returns:
        The best trial, its spec and model, and all trials.

    Raises:
        SpecError: The spec or the space is invalid; the message lists all errors.
        UsageError: An argument is invalid, or the folder has a search with other settings.
        DataError: There is nothing to train on or to validate with.
        RunError: All trials failed, or none was completed before the time was up.
    """
    folder = local_output(results_dir, "results_dir")
    known = with_epochs(given(Experiment, spec), num_epochs)
    _check_numbers(trials, hours, jobs)
    _check_objectives(known, tuple(objectives), jobs)
    if pruner not in PRUNERS:
        raise UsageError(f"pruner {pruner!r}: expected one of {', '.join(PRUNERS)}", argument="pruner")
    tuned = TunedSpec(known)
    chosen_space = _space(tuned, space, archs)
    _check_validation(tuned)
    settings = TuneSettings(
        spec=tuned,
        space=chosen_space,
        folder=folder,
        trials=trials,
        hours=hours,
        jobs=jobs,
        objectives=tuple(objectives),
        pruner=pruner,
        seed=known.random_seed if seed is None else seed,
        mixed=use_amp,
    )
    use_tensorflow()
    from frcnn.api.trial_training import ChildTrainer
    from frcnn.single_writer import only_writer_in
    from frcnn.tuning.search import search

    trainer = ChildTrainer(resolved_key(key, known.enc_key), use_amp=use_amp, strict=strict, jobs=jobs)
    with reported_to(on_progress), only_writer_in(folder, "tune"):
        writer = _Writer(settings, on_trial)
        found = search(settings, trainer, writer.write)
    return writer.result(found)


class _Writer:
    """Writes the results after each trial, so that they can be looked at while the search runs."""

    def __init__(self, settings: TuneSettings, on_trial: Callable[[TuneTrial], None] | None) -> None:
        self._settings, self._on_trial = settings, on_trial
        self._told: set[int] | None = None  # trials that the caller knows of; those of earlier runs are known
        self._written: int | None = None

    def write(self, study: "Study", trials: list[TuneTrial]) -> None:
        """Writes table, report and the best trial; reports trials that ended."""
        from frcnn.tuning.report import write_report

        best = best_of(trials)
        if best is not None and best.number != self._written:
            write_best(best, self._settings)
            self._written = best.number
        write_table(trials, self._settings)
        write_report(trials, study.importances(), self._settings)
        ended = [each for each in trials if each.state != "running"]
        if self._told is not None and self._on_trial is not None:
            for each in ended:
                if each.number not in self._told:
                    self._on_trial(each)
        self._told = {each.number for each in ended}

    def result(self, trials: list[TuneTrial]) -> TuneResult:
        """Returns the result of the search."""
        from frcnn.tuning.report import REPORT
        from frcnn.tuning.results import BEST_MODEL, BEST_SPEC, TABLE

        best = best_of(trials)
        folder = self._settings.folder
        if best is None or best.model is None:
            raise RunError(
                "No trial was completed before the time was up. Run again with more hours; the "
                f"search in {folder} continues."
            )
        return TuneResult(
            best=best,
            settings=tuple(self._settings.space.settings(best.chosen)),
            spec=folder / BEST_SPEC,
            model=folder / f"{BEST_MODEL}{best.model.suffix}",
            front=tuple(front_of(trials, self._settings.objectives)),
            trials=tuple(trials),
            report=folder / REPORT,
            table=folder / TABLE,
        )


def _check_numbers(trials: int, hours: float | None, jobs: int) -> None:
    for name, value in (("trials", trials), ("jobs", jobs)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{name} {value!r}: expected a whole number of 1 or more", argument=name)
    if hours is not None and not hours > 0:
        raise UsageError(f"hours {hours!r}: expected a number above 0", argument="hours")


def _check_objectives(spec: Experiment, objectives: tuple[Objective, ...], jobs: int) -> None:
    unknown = [each for each in objectives if each not in DIRECTIONS]
    if (
        unknown
        or not objectives
        or objectives[0] != "mAP"
        or len(objectives) > 2
        or len(set(objectives)) < len(objectives)
    ):
        raise UsageError(
            f"objectives {', '.join(map(str, objectives)) or 'none'}: expected mAP, or mAP and one of "
            f"{', '.join(list(DIRECTIONS)[1:])}",
            argument="objectives",
        )
    if "latency" in objectives and jobs > 1:
        raise UsageError(
            f"jobs {jobs} with objective latency: expected 1, because trainings on the same machine would "
            "change the times. flops can be compared with any number of jobs.",
            argument="jobs",
        )
    if len(objectives) > 1 and spec.model_config.input_image_config.size_min is not None:
        raise UsageError(
            f"objectives {', '.join(objectives)}: the cost of a model of dynamic input size (size_min) "
            "depends on the image; expected a spec with size_height_width",
            argument="objectives",
        )


def _space(spec: TunedSpec, space: Location | None, archs: Sequence[str]) -> "Space":
    from frcnn.tuning.default_space import default_space
    from frcnn.tuning.space_file import load_space

    archs = (archs,) if isinstance(archs, str) else archs
    if space is None:
        return default_space(spec, archs)
    if archs:
        raise UsageError(
            "archs: found together with space; expected one of them. Name the backbones in the space: "
            'search { field: "model_config.arch" value: ... }',
            argument="archs",
        )
    return load_space(Path(name_of(space, "space")), spec)


def _check_validation(spec: TunedSpec) -> None:
    """Checks that the trials can be judged, before any of them runs."""
    from frcnn.data.input.sources import training_sources, validation_sources
    from frcnn.settings.data import data_settings

    if not spec.has_validation_set:
        raise DataError(
            f"{spec.source or 'The spec'} names no validation set, so trials cannot be compared. Set "
            "dataset_config.validation_fold or dataset_config.validation_data_source."
        )
    data = data_settings(spec.experiment)
    training_sources(data)
    validation_sources(data)
