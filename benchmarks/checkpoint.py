"""Measures how long writing a checkpoint takes, and for how long it blocks training; prints a table.

    python -m benchmarks.checkpoint                              resnet:50 with Adam, plain and sealed
    python -m benchmarks.checkpoint --arch resnet:18 --height 128 --width 160

It trains on one image from memory. As in `frcnn train` after an epoch, the state is captured between two
steps, and another thread writes it during the next steps.
"""

import argparse
import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from benchmarks.conditions import Conditions
from benchmarks.ours_spec import spec_text
from benchmarks.settings import SETTINGS
from frcnn.distributed.world import RankInfo
from frcnn.model.build import build
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files.checkpoint import Snapshots, load_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.settings.model import model_settings
from frcnn.settings.training import training_run
from frcnn.spec.load import parse_experiment
from frcnn.training.compile import prepare
from frcnn.training.trainer import set_up

WRITE_LIMIT, STALL_LIMIT = 2.0, 0.2
WARM_UP = 3

Result = TypeVar("Result")


class Figures(NamedTuple):
    """Measurements of one kind of checkpoint, in seconds. Medians, except `longer`.

    Attributes:
        taken: Time to capture the state, during which training pauses.
        alone: Time to write, with nothing else running.
        beside: Time to write during train steps.
        longer: Largest extra time of a train step during a write, over all repeats.
        loaded: Time to load the model.
    """

    taken: float
    alone: float
    beside: float
    longer: float
    loaded: float


def main() -> None:
    """Runs the benchmark and prints the table."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--arch", default="resnet:50", help="backbone (default: resnet:50)")
    flags.add_argument(
        "--optimizer", choices=("adam", "sgd", "rmsprop"), default="adam", help="optimizer (default: adam)"
    )
    flags.add_argument("--height", type=int, default=384, help="input height, px (default: 384)")
    flags.add_argument("--width", type=int, default=640, help="input width, px (default: 640)")
    flags.add_argument("--repeats", type=int, default=3, help="checkpoints per kind (default: 3)")
    flags.add_argument(
        "--folder", type=Path, help="folder for the files (default: system's temporary folder)"
    )
    args = flags.parse_args()
    set_up(42)
    conditions = Conditions(len(os.sched_getaffinity(0)))
    model, step = _training(args)
    for _ in range(WARM_UP):
        step()
    console, table = (
        Console(),
        Table("s", "capture", "write alone", "write during steps", "extra time of a step", "load"),
    )
    worst: list[Figures] = []
    for name, key in (("plain", ""), ("sealed", "a passphrase")):
        found = _measure(model, step, key, args)
        worst.append(found)
        table.add_row(name, *(f"{each:.3f}" for each in found))
    console.print(table)
    verdicts = (
        ("pause of training", max(each.taken for each in worst), STALL_LIMIT),
        ("extra time of a step during a write", max(each.longer for each in worst), STALL_LIMIT),
        ("time to write a checkpoint", max(each.alone for each in worst), WRITE_LIMIT),
    )
    for what, seconds, limit in verdicts:
        answer = "yes" if seconds <= limit else "NO"
        console.print(f"{what}: {seconds:.3f} s; target: at most {limit} s: {answer}", highlight=False)
    console.print("\n".join(conditions.lines()), highlight=False)


def _training(args: argparse.Namespace) -> tuple[FasterRCNN, "Step"]:
    """Builds a model and its train step on one random image."""
    settings = dataclasses.replace(SETTINGS, height=args.height, width=args.width)
    text = spec_text(1, settings).replace('arch: "resnet:18"', f'arch: "{args.arch}"')
    text += f"\ntraining_config {{ optimizer {{ {args.optimizer} {{ }} }} }}"
    spec = parse_experiment(text, "benchmark").spec
    model = build(model_settings(spec))
    prepare(model, training_run(spec), 1_000_000, RankInfo(), amp=False)
    return model, Step(model, args)


class Step:
    """Train step as `fit` runs it."""

    def __init__(self, model: FasterRCNN, args: argparse.Namespace) -> None:
        """Prepares the data. The first call traces the step.

        Args:
            model: Compiled model.
            args: Command line arguments.
        """
        random = np.random.default_rng(0)
        count = SETTINGS.padded_boxes
        corner = random.uniform(0, (args.height - 64, args.width - 64), (1, count, 2))
        batch = {
            "images": tf.constant(random.normal(0, 50, (1, args.height, args.width, 3)), tf.float32),
            "boxes": tf.constant(np.concatenate([corner, corner + 60], axis=-1), tf.float32),
            "classes": tf.zeros((1, count), tf.int32),
            "valid": tf.constant(np.arange(count)[None] < 10),
        }
        model.make_train_function()
        self._function = model.train_function
        self._batches = iter(tf.data.Dataset.from_tensors(batch).repeat())

    def __call__(self) -> float:
        """Runs one step and returns its duration in seconds."""
        start = time.perf_counter()
        float(self._function(self._batches)["loss"])
        return time.perf_counter() - start


def _measure(model: FasterRCNN, step: Step, key: str, args: argparse.Namespace) -> Figures:
    """Writes `args.repeats` checkpoints, each once alone and once during train steps."""
    snapshots, rows = Snapshots(model), []
    record = TrainingRecord(args.arch, model.geometry.class_names)
    usual = statistics.median(step() for _ in range(WARM_UP))
    with tempfile.TemporaryDirectory(dir=args.folder) as folder, ThreadPoolExecutor(1) as pool:
        path = Path(folder) / ("model.tlt" if key else "model.keras")
        for _ in range(args.repeats):
            snapshot, taken = _timed(snapshots.take)
            _, alone = _timed(lambda taken=snapshot: taken.save(path, record, key))
            step()  # gives the variables new memory for the next snapshot
            snapshot = snapshots.take()
            job = pool.submit(_timed, lambda taken=snapshot: taken.save(path, record, key))
            steps = [step()]
            while not job.done():
                steps.append(step())
            _, loaded = _timed(lambda: load_model(path, key))
            rows.append((taken, alone, job.result()[1], max(steps) - usual, loaded))
    columns = list(zip(*rows, strict=True))
    medians = [statistics.median(column) for column in columns]
    return Figures(*medians)._replace(longer=max(columns[3]))


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Calls a function; returns its result and its duration in seconds."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main()
