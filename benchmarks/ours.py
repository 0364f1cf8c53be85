"""Worker process: trains and runs this project's detector with the product's own code.

`run_speed.py` and other benchmarks start it with the project's interpreter.
"""

import argparse
import functools
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.ours_spec import spec_text
from benchmarks.settings import SETTINGS, Scene, random_scene
from benchmarks.tracing import count_calls
from benchmarks.workers import serve
from frcnn.distributed.world import RankInfo
from frcnn.model.build import build
from frcnn.model.keras_detector import KerasDetector
from frcnn.model.precision import set_precision
from frcnn.settings.model import detection_settings, model_settings, training_settings
from frcnn.settings.optimizer import optimizer_settings
from frcnn.spec import Experiment, load_experiment
from frcnn.training.devices import run_operations_in_turn
from frcnn.training.optimizers import optimizer
from frcnn.training.trainer import set_up

WARM_UP_STEPS = 3
# Length of the learning rate schedule; long enough for a constant rate.
TOTAL_STEPS = 1_000_000


class Ours:
    """This project's side of the benchmark."""

    def __init__(self, precision: str, batch: int) -> None:
        """Builds the detector from the shared settings.

        Args:
            precision: `float32` or `bfloat16` (mixed precision).
            batch: Batch size.
        """
        self.spec = _load_spec(batch)
        self.scene = random_scene(batch)
        self.model = build(model_settings(self.spec))
        if precision == "bfloat16":
            set_precision(self.model, "mixed_bfloat16")
        self.traces = {
            "infer": count_calls(self.model, "detect"),
            "train": count_calls(self.model, "train_step"),
        }
        self.counts: dict[str, Any] = {}

    @functools.cached_property
    def detector(self) -> KerasDetector:
        """Detector that evaluation and inference call."""
        return KerasDetector(self.model, detection_settings(self.spec.inference_config))

    @functools.cached_property
    def train_function(self) -> Any:
        """Function that `fit` calls for each step, bound to the training batch."""
        self.model.training_settings = training_settings(self.spec)
        self.model.compile(
            optimizer=optimizer(optimizer_settings(self.spec.training_config), TOTAL_STEPS), jit_compile=False
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.model.make_train_function()
        batches = tf.data.Dataset.from_tensors(_training_batch(self.scene)).repeat()
        return functools.partial(self.model.train_function, iter(batches))

    def prepare(self, phase: str) -> dict[str, Any]:
        """Traces and warms up."""
        self.counts.clear()
        if phase == "train" and "detector" in self.__dict__:
            self.detector.release()  # as `frcnn train` does after each validation
        for _ in range(WARM_UP_STEPS):
            self.step(phase)
        return {}

    def step(self, phase: str) -> None:
        """Runs one train step or one inference, and copies the results to the host.

        Args:
            phase: `train` or `infer`.
        """
        if phase == "train":
            logs = self.train_function()
            self.counts["loss"] = round(float(logs["loss"]), 3)
        else:
            found = self.detector(self.scene.images)
            self.counts["detections"] = found.count.tolist()
            if found.rois is not None:
                # Padding rows are zero.
                self.counts["rois"] = np.count_nonzero(found.rois.any(axis=-1), axis=-1).tolist()

    def report(self) -> dict[str, Any]:
        """Returns versions, running mean of the loss, RoIs and detections, and number of traces."""
        versions = f"tensorflow {tf.__version__}, keras {keras.__version__}"
        traces = {phase: calls.count for phase, calls in self.traces.items() if calls.count}
        return {"versions": versions, "traces": traces, **self.counts}


def _load_spec(batch: int) -> Experiment:
    """Loads the benchmark's spec."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmark.txt"
        path.write_text(spec_text(batch))
        return load_experiment(path)


def _training_batch(scene: Scene) -> dict[str, tf.Tensor]:
    """Makes a batch like `frcnn.data.input.dataset`: boxes are padded to the spec's maximum."""
    images, boxes = scene.boxes.shape[:2]
    padding = SETTINGS.padded_boxes - boxes
    valid = np.zeros((images, SETTINGS.padded_boxes), bool)
    valid[:, :boxes] = True
    return {
        "images": tf.constant(scene.images),
        "boxes": tf.constant(np.pad(scene.boxes, [(0, 0), (0, padding), (0, 0)])),
        "classes": tf.constant(np.pad(scene.classes, [(0, 0), (0, padding)])),
        "valid": tf.constant(valid),
        "difficult": tf.zeros_like(valid),
    }


def main() -> None:
    """Serves commands from standard input."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--precision", choices=("float32", "bfloat16"), required=True)
    flags.add_argument("--batch", type=int, required=True)
    flags.add_argument("--threads", type=int, required=True)
    flags.add_argument("--inexact", action="store_true", help="turn deterministic kernels off")
    args = flags.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    run_operations_in_turn(RankInfo())  # as in a training; commands for inference leave it
    if args.inexact:
        keras.utils.set_random_seed(42)
    else:
        set_up(seed=42)
    serve(lambda: Ours(args.precision, args.batch))


if __name__ == "__main__":
    main()
