"""Runs one trial of a search: an ordinary training in a separate folder, judged after each epoch."""

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import optuna

from frcnn.errors import DataError, FrcnnError, MissingPackageError, RunError, StoreError
from frcnn.files import write_text
from frcnn.single_writer import PlaceBusyError
from frcnn.tuning.settings import Objective, TuneSettings
from frcnn.tuning.study import STOPPED, Study
from frcnn.tuning.trial_spec import trial_spec
from frcnn.tuning.tuned_spec import TunedSpec

log = logging.getLogger(__name__)

FOLDER, SPEC, LOG = "trials", "spec.txt", "log.txt"
# Errors that would make every other trial fail too.
_OF_ALL_TRIALS = (DataError, StoreError, MissingPackageError, PlaceBusyError)
# Ctrl-C signals all processes: a training may end this long before the search notices the signal, s.
_MOMENT = 1.0


class Stopped(Exception):  # noqa: N818 (not an error: the search ends)
    """The search is stopping, so the training of a trial stops too. The next run resumes it."""


@dataclasses.dataclass(frozen=True)
class Judged:
    """Result of one epoch of a trial.

    Attributes:
        epoch: Number of the epoch, from 1.
        mean_ap: mAP on the validation set, 0 to 1; `None` without validation.
    """

    epoch: int
    mean_ap: float | None


@dataclasses.dataclass(frozen=True)
class Training:
    """A training to run.

    Attributes:
        spec: Spec of the trial.
        folder: Folder of the trial; an interrupted training in it is resumed.
        slot: Index of the trial among those that run at the same time, from 0.
        on_epoch: Function to call after each epoch; returns whether to continue.
        on_progress: Function to call several times per second; may raise `Stopped`.
        on_log: Function to call with level and text of each log record.
    """

    spec: TunedSpec
    folder: Path
    slot: int
    on_epoch: Callable[[Judged], bool]
    on_progress: Callable[[], None]
    on_log: Callable[[int, str], None]


@dataclasses.dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes:
        model: Best checkpoint.
        mean_ap: mAP of `model`, 0 to 1; `None` without validation.
        curve: Pairs of epoch and mAP of all validated epochs, also those of earlier runs.
    """

    model: Path
    mean_ap: float | None
    curve: tuple[tuple[int, float], ...] = ()


class Trainer(Protocol):
    """Trains models and measures their cost."""

    def train(self, training: Training) -> Trained:
        """Trains; raises a `FrcnnError` if that fails."""

    def measure(
        self, model: Path, spec: TunedSpec, objectives: tuple[Objective, ...]
    ) -> Mapping[Objective, float]:
        """Measures the cost of a model: `flops` in G per image, `latency` in ms per image."""


class Clock:
    """Remaining time of the study, counted over all runs."""

    def __init__(self, study: Study, hours: float | None) -> None:
        """Starts the clock.

        Args:
            study: Study that stores the time of earlier runs.
            hours: Limit, h; `None`: none.
        """
        self._study, self._limit = study, None if hours is None else hours * 3600
        self._before, self._began = study.seconds(), time.monotonic()
        self._lock = threading.Lock()

    def seconds(self) -> float:
        """Returns the time spent, s."""
        return self._before + time.monotonic() - self._began

    def is_up(self) -> bool:
        """Checks whether the time is used up."""
        return self._limit is not None and self.seconds() >= self._limit

    def record(self) -> None:
        """Stores the time spent in the study."""
        with self._lock:
            self._study.spend(self.seconds())


class TrialRunner:
    """Runs trials, each in the thread that calls it."""

    def __init__(self, settings: TuneSettings, study: Study, trainer: Trainer, clock: Clock) -> None:
        """Creates the runner.

        Args:
            settings: Settings of the search.
            study: Study that stores the results.
            trainer: Object that trains and measures.
            clock: Time that may be spent.
        """
        self._settings, self._study, self._trainer, self._clock = settings, study, trainer, clock
        self.stop = threading.Event()

    def run(self, trial: optuna.Trial, slot: int) -> None:
        """Runs a trial and records its result. An interrupted trial stays unfinished.

        Args:
            trial: The trial.
            slot: Index of the trial among those that run at the same time.

        Raises:
            FrcnnError: The search cannot continue.
        """
        folder = trial_folder(self._settings.folder, trial.number)
        if STOPPED in trial.user_attrs:
            self._study.prune(trial)
            return
        try:
            self._run(trial, folder, slot)
        except _OF_ALL_TRIALS:
            raise
        except FrcnnError as error:
            if self.stop.wait(_MOMENT):
                return
            log.warning("Trial %d failed: %s", trial.number, error)
            self._study.fail(trial, str(error))
        except Stopped:
            return

    def _run(self, trial: optuna.Trial, folder: Path, slot: int) -> None:
        spec = trial_spec(self._settings, trial.params)
        write_text(folder / SPEC, spec.to_text())
        outcome = _Outcome()

        def on_epoch(judged: Judged) -> bool:
            self._end_if_stopped()
            outcome.go_on = self._judge(trial, judged)
            outcome.paused = outcome.go_on and judged.epoch < self._settings.epochs and self._clock.is_up()
            return outcome.go_on and not outcome.paused

        with _log_file(folder / LOG, trial.number) as on_log:
            training = Training(spec, folder, slot, on_epoch, self._end_if_stopped, on_log)
            trained = self._trainer.train(training)
        # An epoch whose validation was interrupted is validated on resuming, but not reported.
        self._study.complete_curve(trial, trained.curve)
        if outcome.paused:
            log.info("Interrupting trial %d: the time is up", trial.number)
        elif not outcome.go_on:
            self._study.prune(trial)
        else:
            self._finish(trial, trained, spec)

    def _judge(self, trial: optuna.Trial, judged: Judged) -> bool:
        self._clock.record()
        if judged.mean_ap is None:
            return True
        log.info(
            "Trial %d epoch %d/%d: mAP %.4f",
            trial.number,
            judged.epoch,
            self._settings.epochs,
            judged.mean_ap,
        )
        return self._study.report(trial, judged.epoch, judged.mean_ap)

    def _finish(self, trial: optuna.Trial, trained: Trained, spec: TunedSpec) -> None:
        if trained.mean_ap is None:
            raise RunError("the training ended without a validation")
        costs = tuple(each for each in self._settings.objectives if each != "mAP")
        measured = {
            "mAP": trained.mean_ap,
            **(self._trainer.measure(trained.model, spec, costs) if costs else {}),
        }
        self._study.finish(trial, [measured[each] for each in self._settings.objectives], trained.model)

    def _end_if_stopped(self) -> None:
        if self.stop.is_set():
            raise Stopped


@dataclasses.dataclass
class _Outcome:
    go_on: bool = True
    paused: bool = False


def trial_folder(folder: Path, number: int) -> Path:
    """Returns the folder of a trial.

    Args:
        folder: Results folder of the search.
        number: Number of the trial, from 0.
    """
    return folder / FOLDER / f"{number:04d}"


@contextlib.contextmanager
def _log_file(path: Path, number: int) -> Iterator[Callable[[int, str], None]]:
    """Yields a function that appends log records to a file. Warnings are also logged by the search."""
    with path.open("a", encoding="utf-8") as stream:

        def write(level: int, text: str) -> None:
            moment = time.strftime("%Y-%m-%d %H:%M:%S")
            stream.write(f"{moment} {logging.getLevelName(level)} {text}\n")
            stream.flush()
            if level >= logging.WARNING:
                log.log(level, "Trial %d: %s", number, text)

        yield write
