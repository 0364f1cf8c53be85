"""SIGKILL at any moment, then `resume_from_model: RESULTS`: the bytes of a run that nobody disturbed."""

import contextlib
import csv
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from frcnn.model.files.archive import read_weights
from frcnn.training.callbacks.training_log import FILE_NAME
from tests.support.toy_training import toy_spec

EPOCHS = 10
TRAINING = (
    f"num_epochs: {EPOCHS} batch_size_per_gpu: 2 optimizer {{ adam {{ }} }} enable_augmentation: true "
    "learning_rate { soft_start { base_lr: 0.001 start_lr: 0.0001 soft_start: 0.2 annealing_points: 0.6 "
    "annealing_divider: 10.0 } } regularizer { type: L2 weight: 1e-4 }"
)
LIMIT = 240.0


def command(folder: Path, *, resume: bool) -> list[str]:
    training = f'{TRAINING} resume_from_model: "{folder}/results"' if resume else TRAINING
    spec = toy_spec(folder, images=6, training=training)
    return [sys.executable, "-m", "frcnn", "train", "-e", spec.source, "-r", f"{folder}/results"]


def kill_when(process: subprocess.Popen, condition, delay: float) -> None:
    """SIGKILL `delay` seconds after `condition` holds; looks a thousand times a second."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.001)
    time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def epochs_in(results: Path) -> int:
    return len(list(results.glob("*.epoch_*.keras")))


def parts(results: Path) -> dict[Path, int]:
    """Sizes of checkpoints that are half there, under their temporary names."""
    found = {}
    with contextlib.suppress(FileNotFoundError):  # one that was just finished
        for part in results.glob(".frcnn-*.part/frcnn_*.epoch_*"):
            found[part] = part.stat().st_size
    return found


def grown(results: Path, left: dict[Path, int]) -> bool:
    """Checks whether there is a megabyte of a checkpoint that no earlier process wrote."""
    return any(size > 1_000_000 for part, size in parts(results).items() if part not in left)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_training_killed_three_times_ends_with_the_bytes_of_an_undisturbed_one(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    subprocess.run(command(whole, resume=False), check=True, capture_output=True)
    with (whole / "results" / FILE_NAME).open(newline="") as handle:
        epoch_seconds = statistics.median(float(row["seconds"]) for row in csv.DictReader(handle))
    results, rng = broken / "results", random.Random(5)
    for attempt in range(3):
        have, left = epochs_in(results), parts(results)
        process = subprocess.Popen(
            command(broken, resume=attempt > 0), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if attempt == 1:
            kill_when(process, lambda left=left: grown(results, left), delay=0.0)
        else:
            kill_when(process, lambda have=have: epochs_in(results) > have, rng.uniform(0, epoch_seconds))
    done = subprocess.run(command(broken, resume=True), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    name = f"frcnn_resnet_10.epoch_{EPOCHS}.keras"
    one, other = (read_weights(folder / "results" / name, folder).arrays for folder in (whole, broken))
    assert one.keys() == other.keys()
    assert [key for key in one if one[key].tobytes() != other[key].tobytes()] == []
    assert not [path for path in results.iterdir() if path.name.startswith(".")], "leftovers"
    rows = [(folder / "results" / FILE_NAME).read_text().splitlines() for folder in (whole, broken)]
    numbers = [[line.split(",")[0] for line in each] for each in rows]
    assert numbers[0] == numbers[1] == ["epoch", *map(str, range(1, EPOCHS + 1))]
    # What is logged is no part of the training: TensorFlow adds up the regularizer's value in any order.
    values = [[[float(cell or 0) for cell in line.split(",")[2:]] for line in each[1:]] for each in rows]
    np.testing.assert_allclose(values[1], values[0], rtol=1e-6)
