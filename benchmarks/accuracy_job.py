"""What the accuracy benchmark asks of both sides, and what they answer: files that two interpreters share.

Only the standard library: this module is imported by the project's interpreter and by the peer's. Boxes are
`[x1, y1, x2, y2]`: pixels of the stored image in a job, of the network input in an answer.
"""

import dataclasses
import json
from pathlib import Path

# One image of an answer: a row [x1, y1, x2, y2, score, class] a detection.
Rows = list[list[float]]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A stored image, its size in px, and its objects; `classes` are indices into the job's."""

    path: str
    width: int
    height: int
    boxes: list[list[float]]
    classes: list[int]


@dataclasses.dataclass(frozen=True)
class Job:
    """A data set and how to train on it.

    Attributes:
        name: Of the set.
        arch: `mobilenet_v2` or `resnet:18`.
        height: Of the network input, px.
        width: Of the network input, px.
        mean: Of red, green and blue, subtracted from pixels in 0..255.
        factor: Divides what is left.
        scales: Sides of the anchors, px; their ratios are 1, 0.5 and 2.
        classes: Names.
        epochs: To train.
        batch: Images a step.
        rate: Of Adam.
        rois: RoIs of an image that the head is trained on.
        proposals: Of an image that the head looks at in evaluation.
        weights: A state dict of MobileNetV2; empty for random weights.
        data: Folder of the data set.
        splits: The pictures of `train`, `val` and `test`.
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
        """Writes it as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Job":
        """Reads what `save` wrote."""
        values = json.loads(path.read_text())
        splits = {name: [Picture(**each) for each in found] for name, found in values.pop("splits").items()}
        return cls(splits=splits, **values)

    def learning_rate(self, step: int, total: int) -> float:
        """The rate at `step` of `total`: a short rise, then an eighth after 0.7 and again after 0.9."""
        progress = step / total
        if progress < 0.05:
            return self.rate * (0.1 + 0.9 * progress / 0.05)
        return self.rate / 8 ** sum(progress > point for point in (0.7, 0.9))


@dataclasses.dataclass
class Answer:
    """What one side found: seconds of each epoch, detections in `val` after each, in `test` at the end."""

    seconds: list[float]
    val: list[list[Rows]]
    test: list[Rows]

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Answer":
        """Reads what `save` wrote."""
        return cls(**json.loads(path.read_text()))
