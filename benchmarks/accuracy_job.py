"""Defines the job files and result files of the accuracy benchmark.

This module uses only the standard library, because this project's interpreter and torchvision's import it.
Boxes are `[x1, y1, x2, y2]`: in pixels of the stored image in a job, of the network input in a result.
"""

import dataclasses
import json
from pathlib import Path

# Detections in one image: one row [x1, y1, x2, y2, score, class] per detection.
Rows = list[list[float]]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A stored image and its labels.

    Attributes:
        path: Path of the image.
        width: Width of the stored image, px.
        height: Height of the stored image, px.
        boxes: Boxes of the objects.
        classes: Class of each object, an index into the job's classes.
    """

    path: str
    width: int
    height: int
    boxes: list[list[float]]
    classes: list[int]


@dataclasses.dataclass(frozen=True)
class Job:
    """A data set and how to train on it.

    Attributes:
        name: Name of the data set.
        arch: Backbone: `mobilenet_v2` or `resnet:18`.
        height: Height of the network input, px.
        width: Width of the network input, px.
        mean: Means of red, green and blue, subtracted from pixels in 0..255.
        factor: Divisor of the pixels, applied after `mean`.
        scales: Side lengths of the anchors, px. Their ratios are 1, 0.5 and 2.
        classes: Class names.
        epochs: Number of epochs.
        batch: Images per step.
        rate: Base learning rate of Adam.
        rois: RoIs per image used for training the head.
        proposals: Proposals per image that the head gets in evaluation.
        weights: Path of a MobileNetV2 state dict; empty for random weights.
        data: Folder of the data set.
        splits: Images of `train`, `val` and `test`.
    """

    name: str
    arch: str
    height: int
    width: int
    mean: list[float]
    factor: float
    scales: list[int]
    classes: list[str]
    epochs: int
    batch: int
    rate: float
    rois: int
    proposals: int
    weights: str
    data: str
    splits: dict[str, list[Picture]]

    def save(self, path: Path) -> None:
        """Writes the job as JSON.

        Args:
            path: File.
        """
        path.write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Job":
        """Reads a job that `save` wrote.

        Args:
            path: File.

        Returns:
            The job.
        """
        values = json.loads(path.read_text())
        splits = {name: [Picture(**each) for each in found] for name, found in values.pop("splits").items()}
        return cls(splits=splits, **values)

    def learning_rate(self, step: int, total: int) -> float:
        """Computes the learning rate: a short warm-up, then divided by 8 after 0.7 and again after 0.9.

        Args:
            step: Number of the step, from 0.
            total: Number of steps.

        Returns:
            Learning rate.
        """
        progress = step / total
        if progress < 0.05:
            return self.rate * (0.1 + 0.9 * progress / 0.05)
        return self.rate / 8 ** sum(progress > point for point in (0.7, 0.9))


@dataclasses.dataclass
class Answer:
    """Result of one training.

    Attributes:
        seconds: Training time of each epoch.
        val: Detections in the validation split after each epoch.
        test: Detections in the test split after the last epoch.
    """

    seconds: list[float]
    val: list[list[Rows]]
    test: list[Rows]

    def save(self, path: Path) -> None:
        """Writes the result as JSON.

        Args:
            path: File.
        """
        path.write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Answer":
        """Reads a result that `save` wrote.

        Args:
            path: File.

        Returns:
            The result.
        """
        return cls(**json.loads(path.read_text()))
