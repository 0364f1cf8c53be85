"""Runs the trials of a search, several at a time, until trials or time are used up. Start reading here."""

import concurrent.futures
import logging
import queue
from collections.abc import Callable

import optuna

from frcnn.console.progress import Progress
from frcnn.errors import RunError
from frcnn.tuning.results import TuneTrial, trials_of
from frcnn.tuning.settings import TuneSettings
from frcnn.tuning.study import Study, open_study
from frcnn.tuning.trial_runner import Clock, Trainer, TrialRunner

log = logging.getLogger(__name__)

_WAIT = 0.5  # seconds between checks for Ctrl-C
# Number of failures without a single success after which a search is given up.
_PATIENCE = 3


def search(
    settings: TuneSettings, trainer: Trainer, on_change: Callable[[Study, list[TuneTrial]], None]
) -> list[TuneTrial]:
    """Runs trials until the requested number is reached or the time is up.

    Trials that an earlier run in the same folder did not finish come first and resume from their checkpoints.

    Args:
        settings: Settings of the search.
        trainer: Object that trains and measures.
        on_change: Called with the study and all trials: at the beginning, after each trial, and at the end.

    Returns:
        All trials of the study.

    Raises:
        UsageError: The folder has a study with other settings.
        FrcnnError: All trials fail, or the error would hit all trials. The study remains on disk.
    """
    study = open_study(settings)
    clock = Clock(study, settings.hours)
    runner = TrialRunner(settings, study, trainer, clock)
    before = trials_of(study, settings)
    if before:
        ended = sum(each.state != "running" for each in before)
        log.info("Resuming the study: trials that ended: %d, that resume: %d", ended, len(before) - ended)
    on_change(study, before)
    try:
        _run_all(settings, study, runner, clock, on_change)
    finally:
        clock.record()
    found = trials_of(study, settings)
    on_change(study, found)
    return found


def _run_all(
    settings: TuneSettings,
    study: Study,
    runner: TrialRunner,
    clock: Clock,
    on_change: Callable[[Study, list[TuneTrial]], None],
) -> None:
    """Keeps `jobs` threads busy. On an error, stops all trainings before raising it."""
    places: queue.SimpleQueue[int] = queue.SimpleQueue()
    for slot in range(settings.jobs):
        places.put(slot)
    unfinished = study.unfinished()
    running: set[concurrent.futures.Future[None]] = set()
    ended = len(study.trials()) - len(unfinished)
    with (
        concurrent.futures.ThreadPoolExecutor(settings.jobs, "trial") as pool,
        Progress("tuning", settings.trials, done=ended) as progress,
    ):
        try:
            while True:
                while len(running) < settings.jobs and not clock.is_up():
                    trial = _next(settings, study, unfinished)
                    if trial is None:
                        break
                    running.add(pool.submit(_run_in_place, runner, trial, places))
                if not running:
                    return
                done, running = concurrent.futures.wait(running, _WAIT, concurrent.futures.FIRST_COMPLETED)
                for each in done:
                    each.result()
                if done:
                    trials = trials_of(study, settings)
                    _report(trials, progress)
                    on_change(study, trials)
                    _give_up_if_hopeless(trials)
        except BaseException:
            runner.stop.set()
            raise


def _next(settings: TuneSettings, study: Study, unfinished: list[optuna.Trial]) -> optuna.Trial | None:
    if unfinished:
        return unfinished.pop(0)
    return study.ask() if len(study.trials()) < settings.trials else None


def _run_in_place(runner: TrialRunner, trial: optuna.Trial, places: "queue.SimpleQueue[int]") -> None:
    slot = places.get()
    try:
        runner.run(trial, slot)
    finally:
        places.put(slot)


def _report(trials: list[TuneTrial], progress: Progress) -> None:
    ended = [each for each in trials if each.state != "running"]
    best = max(
        (each.mean_ap for each in ended if each.state == "complete" and each.mean_ap is not None),
        default=None,
    )
    text = "" if best is None else f"trial {len(ended)} best mAP {best:.4f}"
    progress.update(len(ended), text)


def _give_up_if_hopeless(trials: list[TuneTrial]) -> None:
    failed = [each for each in trials if each.state == "failed"]
    if len(failed) >= _PATIENCE and len(failed) == sum(each.state != "running" for each in trials):
        raise RunError(f"All {len(failed)} trials failed, the last one with: {failed[-1].message}")
