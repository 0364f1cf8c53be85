"""What TensorBoard shows of a training: numbers, weights, and images as the network gets them.

| tab | tag | when |
|---|---|---|
| scalars | `batch/<loss>`, `batch/learning_rate` | each step |
| scalars | `epoch/<loss>`, `epoch/mAP`, `AP/<class>` | each epoch (validated ones) |
| histograms | `<weight>/<layer>`: kernel, bias, gamma, beta, ... of every layer | each epoch |
| images | `augmented/<n>` | each epoch |
"""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from frcnn.data.image_loader import ImageLoader
from frcnn.data.preview import Sample, to_sample
from frcnn.data.sources import training_sources
from frcnn.evaluate.report import Report
from frcnn.inference.draw import annotate

if TYPE_CHECKING:
    from frcnn.spec.config import Experiment

log = logging.getLogger(__name__)

FOLDER = "logs"


class TensorBoard(keras.callbacks.Callback):
    """Writes `<results>/logs`; a resumed run adds to what is there. Rank 0 only, behind validation."""

    def __init__(
        self,
        spec: "Experiment",
        results_dir: Path,
        steps: int,
        report: Callable[[], Report | None] = lambda: None,
    ) -> None:
        """`steps` an epoch; `report` gives the epoch's validation, or None if it had none."""
        super().__init__()
        self._spec, self._steps, self._report = spec, steps, report
        self._folder = results_dir / FOLDER
        self._step = 0
        self._writer: tf.summary.SummaryWriter | None = None
        self._images = AugmentedImages(spec, spec.training_config.visualizer.num_images)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens a file of its own: those of earlier runs stay."""
        self._writer = tf.summary.create_file_writer(str(self._folder))
        log.info("TensorBoard: tensorboard --logdir %s", self._folder)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Shows images as this epoch augments them."""
        self._step = epoch * self._steps
        pictures = [self._drawn(sample) for sample in self._images.of_epoch(epoch)]
        with self._open():
            for number, picture in enumerate(pictures):
                tf.summary.image(f"augmented/{number}", picture[None], step=epoch + 1)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """The step's losses and learning rate."""
        self._step += 1
        with self._open():
            for name, value in (logs or {}).items():
                tf.summary.scalar(f"batch/{name}", float(value), step=self._step)
            tf.summary.scalar("batch/learning_rate", self._rate(), step=self._step)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Means, AP and weights."""
        values = {f"epoch/{name}": float(value) for name, value in (logs or {}).items()}
        values["epoch/learning_rate"] = self._rate()
        values |= class_precisions(self._report())
        with self._open() as writer:
            for name, value in values.items():
                if math.isfinite(value):
                    tf.summary.scalar(name, value, step=epoch + 1)
            for name, weight in histograms(self.model).items():
                tf.summary.histogram(name, weight, step=epoch + 1)
            writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the file."""
        if self._writer is not None:
            self._writer.close()

    def _open(self) -> Any:
        if self._writer is None:
            raise RuntimeError("on_train_begin comes first")
        return self._writer.as_default()

    def _rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def _drawn(self, sample: Sample) -> np.ndarray:
        names = [self._spec.class_names[index] for index in sample.classes]
        return np.asarray(annotate(sample.pixels, sample.boxes, sample.classes, names))


class AugmentedImages:
    """A few training images as each epoch changes them."""

    def __init__(self, spec: "Experiment", count: int) -> None:
        """Nothing is read yet."""
        self._spec, self._count = spec, count
        self._loader: ImageLoader | None = None

    def of_epoch(self, epoch: int) -> list[Sample]:
        """At most `count` images, others each epoch, with the changes that `epoch` (from 0) may make."""
        if not self._count:
            return []
        if self._loader is None:
            augmented = self._spec.training_config.enable_augmentation
            found = training_sources(self._spec)
            self._loader = ImageLoader(self._spec, found, training=True, augmented=augmented)
        total = len(self._loader.index)
        numbers = np.arange(epoch * self._count, epoch * self._count + min(self._count, total)) % total
        rows = np.stack([numbers, np.full_like(numbers, epoch), numbers], axis=1).astype(np.int64)
        slots = tf.data.Dataset.from_tensor_slices(rows)
        examples = slots.flat_map(self._loader.load).map(self._loader.prepare)
        return [to_sample(example, self._loader.settings) for example in examples]


def class_precisions(report: Report | None) -> dict[str, float]:
    """`AP/<class>` at the first IoU threshold, of the classes that have one."""
    if report is None or not report.results:
        return {}
    return {f"AP/{each.name}": each.ap for each in report.results[0].classes if each.ap is not None}


def histograms(model: keras.Model) -> dict[str, tf.Tensor]:
    """Every weight of every layer, moving statistics too, as `kernel/conv1` and the like."""
    return {
        f"{variable.name}/{layer.name}": variable.value
        for part in (model.features, model.roi_head)
        for layer in part.layers
        for variable in layer.weights
    }
