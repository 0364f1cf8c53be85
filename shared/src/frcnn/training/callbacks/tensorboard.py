"""Writes TensorBoard logs: metrics, weights, and images as the network gets them.

| tab | tag | when |
|---|---|---|
| scalars | `batch/<loss>`, `batch/learning_rate` | each step |
| scalars | `epoch/<loss>`, `epoch/learning_rate` | each epoch |
| scalars | `epoch/mAP`, `AP/<class>` | each validated epoch |
| histograms | `<weight>/<layer>`: kernel, bias, gamma, beta, ... of every layer | each epoch |
| images | `augmented/<n>` | each epoch |
| images | `validation/<n>`, the same images with detections | each validated epoch |
"""

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from frcnn.data.input.image_loader import ImageLoader
from frcnn.data.input.preview import Sample, to_sample
from frcnn.data.input.sources import training_sources
from frcnn.data.settings import DataSettings
from frcnn.data.transforms.preprocess import denormalize
from frcnn.drawing.boxes import annotate
from frcnn.evaluation.report import Report
from frcnn.model.keras_detector import KerasDetector
from frcnn.settings.training import TrainingRun
from frcnn.training.callbacks.validation import Validation

log = logging.getLogger(__name__)

FOLDER = "logs"


class TensorBoard(keras.callbacks.Callback):
    """Callback that writes `<results>/logs`. Rank 0 only, after validation.

    A resumed run adds to the logs.
    """

    def __init__(
        self, run: TrainingRun, results_dir: Path, steps: int, validator: Validation | None = None
    ) -> None:
        """Creates the callback.

        Args:
            run: Settings of the training.
            results_dir: Results folder.
            steps: Steps per epoch.
            validator: Validation callback, if there is a validation set.
        """
        super().__init__()
        self._names, self._steps, self._validator = run.data.class_names, steps, validator
        self._folder = results_dir / FOLDER
        self._step = 0
        self._writer: tf.summary.SummaryWriter | None = None
        self._images = AugmentedImages(run.data, run.visualizer.images)
        self._detected = DetectedImages(run)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Creates a new event file; those of earlier runs are kept."""
        self._writer = tf.summary.create_file_writer(str(self._folder))
        log.info("To follow the training, run: tensorboard --logdir %s", self._folder)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes images as this epoch augments them."""
        self._step = epoch * self._steps
        pictures = [self._drawn(sample) for sample in self._images.of_epoch(epoch)]
        with self._open():
            for number, picture in enumerate(pictures):
                tf.summary.image(f"augmented/{number}", picture[None], step=epoch + 1)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes losses and learning rate of the step."""
        self._step += 1
        with self._open():
            for name, value in (logs or {}).items():
                tf.summary.scalar(f"batch/{name}", float(value), step=self._step)
            tf.summary.scalar("batch/learning_rate", self._rate(), step=self._step)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes mean losses, AP, weights and detections."""
        values = {f"epoch/{name}": float(value) for name, value in (logs or {}).items()}
        values["epoch/learning_rate"] = self._rate()
        report = self._validator.report if self._validator else None
        values |= class_precisions(report)
        detected = self._detected.pictures(self._validator) if report and self._validator else []
        with self._open() as writer:
            for number, picture in enumerate(detected):
                tf.summary.image(f"validation/{number}", picture[None], step=epoch + 1)
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
            raise RuntimeError("on_train_begin must be called first")
        return self._writer.as_default()

    def _rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def _drawn(self, sample: Sample) -> np.ndarray:
        names = [self._names[index] for index in sample.classes]
        return np.asarray(annotate(sample.pixels, sample.boxes, sample.classes, names))


class AugmentedImages:
    """A few training images as each epoch augments them."""

    def __init__(self, settings: DataSettings, count: int) -> None:
        """Creates the source; images are read on first use.

        Args:
            settings: Settings of the data.
            count: Number of images per epoch.
        """
        self._settings, self._count = settings, count
        self._loader: ImageLoader | None = None

    def of_epoch(self, epoch: int) -> list[Sample]:
        """Loads images of an epoch; each epoch shows different ones.

        Args:
            epoch: Epoch, from 0; determines the images and their augmentation.

        Returns:
            At most `count` samples.
        """
        if not self._count:
            return []
        if self._loader is None:
            settings, found = self._settings, training_sources(self._settings)
            self._loader = ImageLoader(settings, found, training=True, augmented=settings.augmented)
        total = len(self._loader.index)
        numbers = np.arange(epoch * self._count, epoch * self._count + min(self._count, total)) % total
        rows = np.stack([numbers, np.full_like(numbers, epoch), numbers], axis=1).astype(np.int64)
        slots = tf.data.Dataset.from_tensor_slices(rows)
        examples = slots.flat_map(self._loader.load).map(self._loader.prepare)
        return [to_sample(example, self._loader.settings) for example in examples]


class DetectedImages:
    """The first validation images, the same ones each time, with detections drawn."""

    def __init__(self, run: TrainingRun) -> None:
        """Creates the source; images are read on first use.

        Args:
            run: Settings of the training.
        """
        self._run, self._count = run, run.visualizer.images
        self._batches: list[dict[str, tf.Tensor]] | None = None

    def pictures(self, validator: Validation) -> list[np.ndarray]:
        """Draws the detections that inference would show.

        Args:
            validator: Validation callback with data set and detector.

        Returns:
            At most `count` images, uint8 `[H, W, 3]`; none before the first validation.
        """
        if not self._count or validator.detector is None:
            return []
        if self._batches is None:
            size = self._run.validation.batch_size
            self._batches = list(validator.dataset.batches.take(math.ceil(self._count / size)))
        found = [picture for batch in self._batches for picture in self._of_batch(batch, validator.detector)]
        return found[: self._count]

    def _of_batch(self, batch: dict[str, tf.Tensor], detector: KerasDetector) -> Iterator[np.ndarray]:
        """Yields each readable image of a batch with its detections."""
        # If images have their own sizes, the rest is padding, where nothing must be detected.
        answer = detector(batch["images"].numpy(), batch["size"].numpy())
        data = self._run.data
        for number in np.flatnonzero(batch["image_valid"]):
            height, width = batch["size"][number].numpy()
            pixels = denormalize(batch["images"][number, :height, :width], data.image).numpy()
            pixels = np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
            shown = answer.scores[number] >= self._run.visualizer.shown_score
            shown &= np.arange(len(shown)) < answer.count[number]
            classes, scores = answer.classes[number][shown], answer.scores[number][shown]
            names = [
                f"{data.class_names[index]} {score:.2f}" for index, score in zip(classes, scores, strict=True)
            ]
            yield np.asarray(annotate(pixels, answer.boxes[number][shown], classes.astype(int), names))


def class_precisions(report: Report | None) -> dict[str, float]:
    """Extracts the average precision per class at the first IoU threshold.

    Args:
        report: Result of a validation, or `None`.

    Returns:
        Values by tag `AP/<class>`; classes without AP are omitted.
    """
    if report is None or not report.results:
        return {}
    return {f"AP/{each.name}": each.ap for each in report.results[0].classes if each.ap is not None}


def histograms(model: keras.Model) -> dict[str, tf.Tensor]:
    """Collects the weights of all layers, including moving statistics.

    Args:
        model: Detector in training.

    Returns:
        Values by tags such as `kernel/conv1`.
    """
    return {
        f"{variable.name}/{layer.name}": variable.value
        for part in (model.features, model.roi_head)
        for layer in part.layers
        for variable in layer.weights
    }
