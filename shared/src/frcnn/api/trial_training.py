"""Trains and measures the trials of `frcnn.tune`, each in a child process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from frcnn.api.isolated_training import OnLog, child_environment, train_in_child
from frcnn.api.training import Epoch, TrainingRequest
from frcnn.cpu import usable_cores
from frcnn.errors import RunError
from frcnn.progress import Progress
from frcnn.single_writer import PlaceBusyError, only_writer_in
from frcnn.tuning.settings import Objective
from frcnn.tuning.trial_runner import Judged, Trained, Training
from frcnn.tuning.tuned_spec import TunedSpec

_GPUS, _THREADS = "CUDA_VISIBLE_DEVICES", ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
_PATIENCE, _LOOK = 120.0, 0.2  # seconds
_MEASURE = "frcnn.api.measure_child"


class ChildTrainer:
    """Trains trials in child processes and shares the machine among those that run at a time."""

    def __init__(self, key: str, *, use_amp: bool, strict: bool, jobs: int) -> None:
        """Creates the trainer.

        Args:
            key: Key that seals the checkpoints; empty for none.
            use_amp: Whether to compute the layers in 16 bits.
            strict: Whether an unreadable image is an error.
            jobs: Maximum number of concurrent trials.
        """
        self._key, self._use_amp, self._strict, self._jobs = key, use_amp, strict, jobs

    def train(self, training: Training) -> Trained:
        """Trains a trial, or resumes it from its latest checkpoint; see `Trainer`."""

        def on_epoch(epoch: Epoch) -> bool:
            return training.on_epoch(Judged(epoch.epoch, epoch.mean_ap))

        def on_progress(progress: Progress) -> None:
            training.on_progress()

        wait_for_earlier(training.folder, training.on_progress)
        request = TrainingRequest(
            training.spec.experiment, training.folder, self._key, True, self._use_amp, self._strict
        )
        on_log: OnLog = lambda _, level, text: training.on_log(level, text)  # noqa: E731 (gives the type)
        result = train_in_child(
            request,
            on_epoch,
            on_progress,
            on_log=on_log,
            environment=share_of(training.slot, self._jobs, os.environ),
        )
        validated = ((each.epoch, each.mean_ap) for each in result.history)
        curve = tuple((epoch, value) for epoch, value in validated if value is not None)
        return Trained(result.model, result.mean_ap, curve)

    def measure(
        self, model: Path, spec: TunedSpec, objectives: tuple[Objective, ...]
    ) -> Mapping[Objective, float]:
        """Measures the cost of a model; see `Trainer`."""
        request = {"model": str(model), "key": self._key, "rois": spec.rois, "objectives": objectives}
        done = subprocess.run(
            [sys.executable, "-m", _MEASURE],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            env=child_environment(),
            check=False,
        )
        if done.returncode:
            raise RunError(f"{model}: cannot be measured: {done.stderr.strip()[-500:]}")
        found: dict[Objective, float] = json.loads(done.stdout.splitlines()[-1])
        return found


def wait_for_earlier(folder: Path, on_wait: Callable[[], None], patience: float = _PATIENCE) -> None:
    """Waits for the training of a killed search to end, which takes a moment after the kill.

    Args:
        folder: Folder of the trial.
        on_wait: Called while waiting; may raise an error to end it.
        patience: Longest time to wait, s.

    Raises:
        PlaceBusyError: A training still writes to the folder.
    """
    until = time.monotonic() + patience
    while True:
        try:
            with only_writer_in(folder, "train"):
                return
        except PlaceBusyError:
            if time.monotonic() >= until:
                raise
        on_wait()
        time.sleep(_LOOK)


def share_of(slot: int, jobs: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables that give a trial its share of the machine.

    Args:
        slot: Index of the trial among those that run at the same time, from 0.
        jobs: Maximum number of concurrent trials.
        environment: Variables of this process.

    Returns:
        Variables: one of the visible GPUs, if several are named, and a share of the CPU cores.
    """
    if jobs == 1:
        return {}
    shares: dict[str, str] = {}
    gpus = [each for each in environment.get(_GPUS, "").split(",") if each]
    if len(gpus) > 1:
        shares[_GPUS] = gpus[slot % len(gpus)]
    cores = usable_cores()
    threads = str(max(1, cores // jobs))
    return shares | {name: threads for name in _THREADS if name not in environment}
