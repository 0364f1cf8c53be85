"""The study of a search: Optuna's trials in an SQLite file in the results folder.

SQLite writes each change in a transaction and its locks end with the process, so the next run can always
resume the study of a process that was killed. Trials that were running then are still marked as running;
only one process at a time may use the folder, so the next run takes them over.
"""

import dataclasses
import hashlib
import json
import threading
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.pool import NullPool

from frcnn.errors import RunError, UsageError
from frcnn.tuning.distributions import base_choices, distribution
from frcnn.tuning.settings import DIRECTIONS, Objective, TuneSettings

FILE = "study.db"
NAME = "frcnn"
# Names of user attributes of the study and its trials.
_SETTINGS, _SECONDS = "settings", "seconds"
STOPPED, MESSAGE, MODEL = "stopped_at", "message", "model"
_RANDOM_TRIALS = 10
# Of this many trials that reach a rung of the pruner, the best one continues.
_REDUCTION = 3
_DEFAULT_PRECISION = "float32"


class Study:
    """Trials of a search, stored in a file."""

    def __init__(self, study: optuna.Study, settings: TuneSettings) -> None:
        """Creates the wrapper; use `open_study`.

        Args:
            study: Optuna's study.
            settings: Settings of the search.
        """
        self._study, self._settings = study, settings
        self._lock = threading.Lock()  # Optuna's sampler is not thread-safe
        self._distributions = {each.field: distribution(each) for each in settings.space.fields}

    def trials(self) -> list[FrozenTrial]:
        """Returns all trials, in the order of their numbers, except those that are queued."""
        found = self._study.get_trials(deepcopy=False)
        return [each for each in found if each.state is not TrialState.WAITING]

    def unfinished(self) -> list[optuna.Trial]:
        """Returns the trials that an earlier run did not finish, in the order of their numbers."""
        running = [each for each in self.trials() if each.state is TrialState.RUNNING]
        with self._lock:
            return [self._taken_over(each) for each in running]

    def ask(self) -> optuna.Trial:
        """Begins a new trial. Its values depend only on the seed, its number and the earlier trials."""
        with self._lock:
            self._study.sampler = self._sampler(len(self.trials()))
            return self._study.ask(self._distributions)

    def _taken_over(self, trial: FrozenTrial) -> optuna.Trial:
        """Chooses the values that an earlier run had not chosen when it was killed."""
        self._study.sampler = self._sampler(trial.number)
        again = optuna.Trial(self._study, trial._trial_id)
        for name, each in self._distributions.items():
            again._suggest(name, each)
        return again

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        digest = hashlib.sha256(f"{self._settings.seed} {number}".encode()).digest()
        return optuna.samplers.TPESampler(
            seed=int.from_bytes(digest[:4]), n_startup_trials=_RANDOM_TRIALS, multivariate=True
        )

    def report(self, trial: optuna.Trial, epoch: int, mean_ap: float) -> bool:
        """Records the mAP of an epoch.

        Args:
            trial: The trial.
            epoch: Number of the epoch, from 1.
            mean_ap: mAP, 0 to 1.

        Returns:
            Whether to continue the trial.
        """
        if len(self._settings.objectives) > 1:  # Optuna reports and prunes for one objective only
            self._storage.set_trial_intermediate_value(trial._trial_id, epoch, mean_ap)
            return True
        if epoch not in self._storage.get_trial(trial._trial_id).intermediate_values:
            trial.report(mean_ap, epoch)
        # After the last epoch, there is nothing left to save.
        if epoch >= self._settings.epochs or not trial.should_prune():
            return True
        # If the process is killed before the trial ends, the next run must not resume it.
        trial.set_user_attr(STOPPED, epoch)
        return False

    def complete_curve(self, trial: optuna.Trial, curve: Iterable[tuple[int, float]]) -> None:
        """Records epochs that were not reported.

        Args:
            trial: The trial.
            curve: Pairs of epoch and mAP.
        """
        known = self._storage.get_trial(trial._trial_id).intermediate_values
        for epoch, mean_ap in curve:
            if epoch not in known:
                self._storage.set_trial_intermediate_value(trial._trial_id, epoch, mean_ap)

    def finish(self, trial: optuna.Trial, values: list[float], model: Path) -> None:
        """Records the results of a trial that was trained for all epochs.

        Args:
            trial: The trial.
            values: A value for each objective.
            model: Its best checkpoint.
        """
        inside = model.absolute().relative_to(self._settings.folder.absolute())
        trial.set_user_attr(MODEL, str(inside))
        self._study.tell(trial, values)

    def prune(self, trial: optuna.Trial) -> None:
        """Records that a trial was stopped early."""
        if len(self._settings.objectives) > 1:
            raise ValueError("trials with several objectives are not stopped early")
        self._study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial: optuna.Trial, message: str) -> None:
        """Records the failure of a trial and its reason."""
        trial.set_user_attr(MESSAGE, message)
        self._study.tell(trial, state=TrialState.FAIL)

    def seconds(self) -> float:
        """Returns the time that this run and earlier ones spent on the study, s."""
        return float(self._study.user_attrs.get(_SECONDS, 0.0))

    def spend(self, seconds: float) -> None:
        """Records the time spent on the study.

        Args:
            seconds: Time of all runs together, s.
        """
        self._study.set_user_attr(_SECONDS, round(seconds, 1))

    @property
    def _storage(self) -> Any:
        return self._study._storage

    def importances(self) -> dict[str, float]:
        """Computes the importance of each field for the mAP by PED-ANOVA; empty for few trials."""
        complete = [each for each in self.trials() if each.state is TrialState.COMPLETE]
        if len(complete) < 4 or len({each.values[0] for each in complete}) < 2:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
        with warnings.catch_warnings():
            # Optuna warns that low targets count as good; the sign accounts for that.
            warnings.simplefilter("ignore", UserWarning)
            found = optuna.importance.get_param_importances(
                self._study, evaluator=evaluator, target=lambda trial: -trial.values[0]
            )
        return {name: float(value) for name, value in found.items()}


def open_study(settings: TuneSettings) -> Study:
    """Opens the study of a results folder, or creates it.

    Args:
        settings: Settings of the search.

    Returns:
        The study. The first trial of a new one is the spec itself, as far as the space contains it.

    Raises:
        UsageError: The folder has a study with other settings.
        RunError: The file of the study is damaged.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = settings.folder / FILE
    try:
        study = optuna.create_study(
            storage=_storage(path),
            study_name=NAME,
            directions=[DIRECTIONS[each] for each in settings.objectives],  # of a new study
            pruner=_pruner(settings),
            load_if_exists=True,
        )
    except Exception as error:
        if isinstance(error, OSError | MemoryError):
            raise
        raise RunError(f"{path}: not a study of frcnn tune ({_first_line(error)})") from error
    _check_settings(study, settings)
    return Study(study, settings)


def _storage(path: Path) -> optuna.storages.RDBStorage:
    # A write that another thread blocks waits instead of failing. Without a pool, no connection stays open.
    return optuna.storages.RDBStorage(
        f"sqlite:///{path.absolute()}",
        engine_kwargs={"connect_args": {"timeout": 60.0}, "poolclass": NullPool},
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _pruner(settings: TuneSettings) -> optuna.pruners.BasePruner:
    if settings.pruner == "none" or settings.epochs < 2:
        return optuna.pruners.NopPruner()
    if settings.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(
            min_resource=1, max_resource=settings.epochs, reduction_factor=_REDUCTION
        )
    # The first rung after a fifth of the epochs: before that, a warm-up decides more than the settings.
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=max(1, settings.epochs // 5), reduction_factor=_REDUCTION
    )


def _check_settings(study: optuna.Study, settings: TuneSettings) -> None:
    """Stores the settings of a new study; compares them with those of an existing one."""
    mine = _kept(settings)
    before = study.user_attrs.get(_SETTINGS)
    if before is None:
        first = base_choices(settings)
        if first:
            study.enqueue_trial(first, skip_if_exists=True)
        study.set_user_attr(_SETTINGS, mine)
        return
    before = {"precision": _DEFAULT_PRECISION} | before  # earlier versions did not store it
    changed = [name for name in mine if before.get(name) != mine[name]]
    if changed:
        raise UsageError(
            f"{settings.folder}: its study was started with another {' and another '.join(changed)}, so its "
            "trials cannot be compared with new ones. Choose another results folder, or the same settings."
        )


def _kept(settings: TuneSettings) -> dict[str, str]:
    """Returns the settings that all trials of a study share; they contain no key."""
    fields = [dataclasses.asdict(each) for each in settings.space.fields]
    return {
        "spec": settings.spec.to_text(),
        "space": json.dumps(fields),
        "set of objectives": " ".join(settings.objectives),
        "pruner": settings.pruner,
        "seed": str(settings.seed),
        "precision": "mixed" if settings.mixed else _DEFAULT_PRECISION,
    }


def values_by_objective(trial: FrozenTrial, objectives: tuple[Objective, ...]) -> Mapping[Objective, float]:
    """Returns the results of a complete trial.

    Args:
        trial: The trial.
        objectives: Objectives of the study.

    Returns:
        Values by objective; empty for other trials.
    """
    if trial.state is not TrialState.COMPLETE or trial.values is None:
        return {}
    return dict(zip(objectives, trial.values, strict=True))
