"""Compares moving statistics of batch normalization on training sets of several sizes.

    python -m benchmarks.statistics_momentum [--sizes 50:8 200:4 1000:2 5000:1] [--json FILE]

Each size is a number of training images and of epochs. The images are the scenes of `frcnn demo-data`. The
moving statistics do not affect a training, so one training per size computes all of them: with the momentum
of each row from the same batches. After each of the given epochs, the model is evaluated on 100 other images
with the statistics of each row, and with exact ones of 60 batches.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

import frcnn
from benchmarks.conditions import Conditions
from frcnn.data.input.dataset import training_dataset, validation_dataset
from frcnn.demo.dataset import write_demo_data
from frcnn.evaluation.evaluator import evaluate
from frcnn.model.keras_detector import KerasDetector
from frcnn.model.layers import BatchNormalization
from frcnn.model.statistics import STATISTICS_PART
from frcnn.settings.data import data_settings
from frcnn.settings.evaluation import evaluation_settings
from frcnn.settings.model import detection_settings
from frcnn.settings.training import training_run
from frcnn.spec import Experiment
from frcnn.training.trainer import train
from tests.support.exact_statistics import take_exact_statistics

HEIGHT, WIDTH = 128, 176
HELD_OUT = 100
EXACT_BATCHES = 60
LONGEST = 0.99
ROWS: dict[str, Callable[[int], float]] = {
    "0.99": lambda step: LONGEST,
    "0.9": lambda step: 0.9,
    "t / (t + 8)": lambda step: min(LONGEST, step / (step + 8)),
    "t / (t + 20), the default": lambda step: min(LONGEST, step / (step + 1 / STATISTICS_PART)),
}
DEFAULT = list(ROWS)[-1]
EXACT = f"exact, over {EXACT_BATCHES} batches"

Statistics = list[np.ndarray]


class Averages(keras.callbacks.Callback):
    """Callback that computes the statistics of all rows and evaluates with each after every epoch.

    Attributes:
        found: mAP@0.5 of each row after each epoch.
    """

    def __init__(self, spec: Experiment) -> None:
        """Creates the callback.

        Args:
            spec: Spec of the training.
        """
        super().__init__()
        self._spec = spec
        self._step = 0
        self._means: dict[str, Statistics] = {}
        self._validation = validation_dataset(data_settings(spec), batch_size=4)
        self._detector: KerasDetector | None = None
        self.found: list[dict[str, float]] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts every row with the statistics of the untrained model."""
        self._means = {name: self._read() for name in ROWS}

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Derives the batch's statistics from the change of the model's, and updates all rows with them."""
        after, momentum = self._read(), ROWS[DEFAULT](self._step)
        before = self._means[DEFAULT]
        values = [(new - momentum * old) / (1 - momentum) for new, old in zip(after, before, strict=True)]
        for name, momentum_of in ROWS.items():
            part = momentum_of(self._step)
            pairs = zip(self._means[name], values, strict=True)
            self._means[name] = [part * old + (1 - part) * value for old, value in pairs]
        self._means[DEFAULT] = after
        self._step += 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Evaluates the model with the statistics of each row; leaves it unchanged."""
        kept, found = self._read(), {}
        for name, statistics in self._means.items():
            self._write(statistics)
            found[name] = self._mean_ap()
        batches = training_dataset(data_settings(self._spec), start_epoch=epoch + 1).batches
        take_exact_statistics(self.model, batches.take(EXACT_BATCHES))
        found[EXACT] = self._mean_ap()
        self._write(kept)
        self.found.append(found)
        print(f"epoch {epoch + 1}, step {self._step}: {found}", flush=True)

    def _variables(self) -> list[keras.Variable]:
        layers = [each for each in self.model._flatten_layers() if isinstance(each, BatchNormalization)]
        return [value for layer in layers for value in (layer.moving_mean, layer.moving_variance)]

    def _read(self) -> Statistics:
        return [np.asarray(variable, np.float64) for variable in self._variables()]

    def _write(self, statistics: Statistics) -> None:
        for variable, value in zip(self._variables(), statistics, strict=True):
            variable.assign(value.astype(np.float32))

    def _mean_ap(self) -> float:
        if self._detector is None:
            self._detector = KerasDetector(self.model, detection_settings(self._spec.evaluation_config))
        self._detector.refresh()
        return evaluate(self._detector, self._validation, evaluation_settings(self._spec)).mean_ap or 0.0


def main() -> int:
    """Runs the benchmark and prints the table.

    Returns:
        Exit code 0.
    """
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument(
        "--sizes",
        nargs="+",
        default=["50:8", "200:4", "1000:2", "5000:1"],
        metavar="IMAGES:EPOCHS",
        help="training images and epochs of each training (default: 50:8 200:4 1000:2 5000:1)",
    )
    flags.add_argument("--json", type=Path, help="file for all figures")
    args = flags.parse_args()
    conditions = Conditions(len(os.sched_getaffinity(0)))
    found = {}
    for size in args.sizes:
        images, _, epochs = size.partition(":")
        with tempfile.TemporaryDirectory(prefix="frcnn-statistics-") as folder:
            found[size] = _train(int(images), int(epochs), Path(folder))
        if args.json:
            args.json.write_text(json.dumps(found, indent=1) + "\n")
    print("\n" + table(found) + "\n")
    print("\n".join(conditions.lines()))
    return 0


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Returns a Markdown table: a row per momentum, a column per size and epoch.

    Args:
        found: mAP of each row after each epoch, by size.
    """
    columns = [(size.partition(":")[0], n) for size, epochs in found.items() for n in range(len(epochs))]
    shown = [(images, n) for images, n in columns if not n & (n + 1)]  # epochs 1, 2, 4, 8
    by_images = {size.partition(":")[0]: epochs for size, epochs in found.items()}
    heads = [f"{images} images, epoch {n + 1}" for images, n in shown]
    lines = [f"| momentum | {' | '.join(heads)} |", "| --- " * (len(heads) + 1) + "|"]
    for name in [*ROWS, EXACT]:
        values = [f"{by_images[images][n][name]:.3f}" for images, n in shown]
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines)


def _train(images: int, epochs: int, folder: Path) -> list[dict[str, float]]:
    """Trains on a number of images; returns the mAP of each row after each epoch."""
    spec = _spec(images, epochs, folder)
    averages = Averages(spec)
    train(training_run(spec), folder / "results", callbacks=[averages])
    return averages.found


def _spec(images: int, epochs: int, folder: Path) -> Experiment:
    """Draws and converts the images, and returns the spec of the training."""
    for part, count, seed in (("train", images, 1), ("val", HELD_OUT, 2)):
        write_demo_data(folder / "data" / part, images=count, seed=seed, height=HEIGHT, width=WIDTH)
    new = frcnn.new_spec(
        folder / "data", folder / "specs", arch="resnet:10", size=(HEIGHT, WIDTH), num_epochs=epochs
    )
    for conversion in new.conversions:
        frcnn.convert(*conversion)
    return frcnn.spec.Experiment.load(new.experiment).updated(
        {
            "training_config.batch_size_per_gpu": 4,
            "training_config.checkpoint_interval": epochs + 1,
            "evaluation_config.validation_period_during_training": epochs + 1,
            "model_config.roi_mini_batch": 12,
            "model_config.roi_pooling_config.pool_size": 4,
        }
    )


if __name__ == "__main__":
    sys.exit(main())
