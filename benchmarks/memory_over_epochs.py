"""Measures resident memory and number of traces over the epochs of a training on a small synthetic set.

python -m benchmarks.memory_over_epochs

Every epoch validates and saves a checkpoint, so that memory leaks of these show up too.
"""

import argparse
import dataclasses
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

import frcnn
from benchmarks.tracing import Calls, count_calls
from benchmarks.workers import memory_mib
from frcnn.settings.training import training_run

SHOWN_EPOCHS = (1, 2, 5, 10, 20, 30)
# Allowed growth in the second half of the epochs: fragmentation still increases a little.
MAX_GROWTH = 0.02


@dataclasses.dataclass(frozen=True)
class Sample:
    """State at the end of an epoch.

    Attributes:
        epoch: Number of the epoch, from 1.
        resident: Resident memory, MiB.
        train_traces: Traces of the train step so far.
        detect_traces: Traces of detection so far.
    """

    epoch: int
    resident: float
    train_traces: int
    detect_traces: int


class EpochSampler(logging.Handler):
    """Log handler that takes a sample when the trainer logs the end of an epoch, its last action there."""

    def __init__(self, train: Calls, detect: Calls) -> None:
        """Creates the handler.

        Args:
            train: Trace counter of the train step.
            detect: Trace counter of detection.
        """
        super().__init__(logging.INFO)
        self.train, self.detect = train, detect
        self.samples: list[Sample] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a sample if the record is the log line of an epoch."""
        if str(record.msg).startswith("epoch "):
            counts = self.train.count, self.detect.count
            self.samples.append(Sample(len(self.samples) + 1, memory_mib(), *counts))


def prepare(folder: Path, images: int, epochs: int) -> Path:
    """Draws and converts a data set, and writes an experiment spec for it.

    Args:
        folder: Folder for data set, records and spec.
        images: Number of images.
        epochs: Number of epochs.

    Returns:
        Path of the spec.
    """
    data, new = folder / "data", folder / "new"
    _frcnn("demo-data", "-o", data, "--images", images)
    _frcnn("spec", "new", "--data", data, "-o", new, "--epochs", epochs)
    _frcnn("dataset_convert", "-d", new / "convert.txt", "-o", new / "records" / "set")
    written = frcnn.Spec.load(new / "experiment.txt").updated(
        {"training_config.checkpoint_interval": 1, "evaluation_config.validation_period_during_training": 1}
    )
    spec = folder / "experiment.txt"
    spec.write_text(written.to_text())
    return spec


def _frcnn(*words: object) -> None:
    """Runs an `frcnn` command in a separate process, whose memory does not count."""
    command = [sys.executable, "-m", "frcnn", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)


def _measure(spec_path: Path, results: Path) -> list[Sample]:
    """Trains as `frcnn train` does and takes a sample after each epoch."""
    from frcnn.model.faster_rcnn import FasterRCNN
    from frcnn.spec import load_experiment
    from frcnn.training.trainer import train

    sampler = EpochSampler(count_calls(FasterRCNN, "train_step"), count_calls(FasterRCNN, "detect"))
    logger = logging.getLogger("frcnn.training")
    logger.setLevel(logging.INFO)
    logger.addHandler(sampler)
    train(training_run(load_experiment(spec_path)), results)
    return sampler.samples


def _print_samples(samples: list[Sample], console: Console) -> None:
    """Prints the samples of `SHOWN_EPOCHS` and of the last epoch, then the growth in the second half."""
    table = Table(title="Training, with validation and a checkpoint each epoch")
    for heading in ("epoch", "resident MiB", "traces of the train step", "traces of detection"):
        table.add_column(heading, justify="right")
    for sample in samples:
        if sample.epoch in SHOWN_EPOCHS or sample is samples[-1]:
            counts = str(sample.train_traces), str(sample.detect_traces)
            table.add_row(str(sample.epoch), f"{sample.resident:.0f}", *counts)
    console.print(table)
    # The first half is left out: buffers and caches are still being allocated.
    first, last = samples[(len(samples) - 1) // 2], samples[-1]
    growth = last.resident - first.resident
    verdict = "flat" if growth <= MAX_GROWTH * first.resident else "NOT flat"
    console.print(f"growth from epoch {first.epoch} to {last.epoch}: {growth:+.0f} MiB, {verdict}")


def main() -> int:
    """Runs the benchmark and returns the exit code 0."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--images", type=int, default=30, help="images, a fifth for validation (default: 30)")
    flags.add_argument(
        "--epochs", type=int, default=40, help="epochs; memory still grows in the first 15 (default: 40)"
    )
    args = flags.parse_args()
    with tempfile.TemporaryDirectory(prefix="frcnn-memory-") as name:
        folder = Path(name)
        samples = _measure(prepare(folder, args.images, args.epochs), folder / "results")
    _print_samples(samples, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
