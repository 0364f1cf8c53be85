"""Chooses the settings of a training from the properties of a data set."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Literal

import numpy as np

from frcnn.console.foreign_text import printable
from frcnn.spec_writing.batch_size import batch_size, power_of_two
from frcnn.spec_writing.facts import MAX_FITTED, SMALL_SHARE, Facts
from frcnn.survey.anchor_fit import class_weights, fit_enough
from frcnn.survey.anchors import Anchors, Coverage, best_iou
from frcnn.survey.network_input import NetworkInput
from frcnn.survey.tables import Tables
from frcnn.survey.wording import counted

Goal = Literal["accuracy", "speed", "edge"]

STRIDE = 16
# RoIs per image in training. With 16, the first epochs are clearly worse (docs/accuracy.md).
LEAST_ROIS = 32
MIN_SIDE = 128
RPN_MIN_OVERLAP, RPN_MAX_OVERLAP = 0.3, 0.7
# Minimum IoU of a correct detection.
HALF = 0.5


@dataclasses.dataclass(frozen=True)
class GoalLimits:
    """Limits that a goal sets.

    Attributes:
        small_side: Desired side of small objects in the network input, px.
        least_pixels: Smallest number of pixels of the network input to which images are reduced.
        most_pixels: Largest number of pixels of the network input.
        most_rois: Largest number of RoIs per image in training.
        arch: Backbone.
    """

    small_side: float
    least_pixels: int
    most_pixels: int
    most_rois: int
    arch: str


LIMITS: dict[Goal, GoalLimits] = {
    "accuracy": GoalLimits(28.0, 288 * 384, 768 * 1248, 128, "resnet:18"),
    "speed": GoalLimits(24.0, 208 * 272, 480 * 640, 64, "resnet:18"),
    "edge": GoalLimits(20.0, 176 * 224, 288 * 384, 32, "resnet:10"),
}

# Backbone in the name of a file of pretrained weights, such as resnet50-0676ba61.pth.
_ARCH_IN_NAME = re.compile(
    r"(resnet|vgg)[_-]?(10|16|18|19|34|50|101)|(mobilenet_v[12])|efficientnet[_-]?(b[0-7])"
)
# Images to see in all epochs from random weights; half as many with pretrained weights.
IMAGES_SEEN = 12_000
MIN_EPOCHS, MAX_EPOCHS = 12, 80
# Adam's learning rate at this batch size; it follows the square root of the batch size.
RATE, RATE_BATCH = 6e-4, 4
# Proposals per image, also for images with thousands of objects: the head computes each of them.
MAX_PROPOSALS = 2000


@dataclasses.dataclass(frozen=True)
class Choices:
    """Settings of a training.

    Attributes:
        facts: Properties of the data set.
        goal: Goal of the choices.
        arch: Backbone.
        pretrained: File of pretrained weights; empty for random weights.
        rows: Height of the network input, px.
        columns: Width of the network input, px.
        anchors: Anchors.
        coverage: Coverage of a sample of the objects by the anchors.
        max_objects: Maximum number of objects per image.
        rois: RoIs per image in training.
        batch: Images per step.
        batch_why: Reason for the batch size.
        epochs: Number of epochs.
        base_lr: Highest learning rate.
        proposals: Maximum number of proposals per image in evaluation and inference.
        detections: Maximum number of detections per image.
        held_out: Number of the images of `facts` that are for validation only.
    """

    facts: Facts
    goal: Goal
    arch: str
    pretrained: str
    rows: int
    columns: int
    anchors: Anchors
    coverage: Coverage
    max_objects: int
    rois: int
    batch: int
    batch_why: str
    epochs: int
    base_lr: float
    proposals: int
    detections: int
    held_out: int = 0

    def images_text(self) -> str:
        """Returns the number of images, and for what they are used."""
        images = self.facts.images
        if not self.held_out:
            return counted(images, "training image")
        return f"{images} images ({images - self.held_out} for training, {self.held_out} for validation)"

    def covered_classes(self) -> str:
        """Returns the share of each class's objects whose best anchor reaches an IoU of 0.5."""
        boxes, labels = input_boxes(self.facts, self.rows, self.columns)
        sizes = np.broadcast_to(np.array([self.rows, self.columns], float), (len(boxes), 2))
        covered = best_iou(boxes, sizes, self.anchors, STRIDE) >= HALF
        shares = {self.facts.names[label]: covered[labels == label].mean() for label in np.unique(labels)}
        return ", ".join(f"{printable(name)} {share:.0%}" for name, share in sorted(shares.items()))

    def summary(self) -> str:
        """Returns a summary of the data set and the choices, in a few lines."""
        facts, coverage = self.facts, self.coverage.to_dict()
        return "\n".join(
            [
                f"{self.images_text()} of about {facts.width} x {facts.height} px "
                f"(width x height), {counted(sum(facts.classes.values()), 'object')} of "
                f"{counted(len(facts.classes), 'class')}",
                f"{self.arch}, input {self.columns} x {self.rows} px (width x height), {self.anchors}",
                f"anchors at IoU {RPN_MAX_OVERLAP} for {coverage['full_share']:.0%} of the objects, below "
                f"{RPN_MIN_OVERLAP} for {coverage['missed_share']:.1%}",
                f"anchors at IoU {HALF} by class: {self.covered_classes()}",
                f"{self.epochs} epochs of batch {self.batch}, learning rate {self.base_lr:g}",
            ]
        )


def choose(
    facts: Facts,
    goal: Goal,
    *,
    arch: str | None = None,
    pretrained: Path | None = None,
    limits: GoalLimits | None = None,
    size: tuple[int, int] | None = None,
    gpu_bytes: int = 0,
    main_bytes: int = 8 << 30,
    held_out: int = 0,
) -> Choices:
    """Chooses the settings of a training.

    Args:
        facts: Properties of the data set.
        goal: Property to favor: `accuracy`, `speed`, or `edge` for small devices.
        arch: Backbone; by default that of the weights' file name, or of the goal.
        pretrained: File of pretrained weights.
        limits: Limits to use instead of those of the goal.
        size: Height and width of the network input, px; by default chosen by the size of small objects.
        gpu_bytes: Memory of the GPU, bytes; 0 without a GPU.
        main_bytes: Available main memory, bytes.
        held_out: Number of the images of `facts` that are for validation only.

    Returns:
        The settings.
    """
    limits = limits or LIMITS[goal]
    arch = arch or (pretrained and arch_in_name(pretrained.name)) or limits.arch
    rows, columns = size or input_size(facts.height, facts.width, facts.small_side, limits)
    anchors, coverage = _fitted_anchors(facts, rows, columns)
    rois = min(limits.most_rois, max(LEAST_ROIS, power_of_two(4 * facts.many_objects)))
    batch, why = batch_size(facts.images - held_out, arch, rows * columns, rois, gpu_bytes, main_bytes)
    max_objects = max(20, math.ceil(facts.most_objects * 1.25 / 10) * 10)
    return Choices(
        facts=facts,
        goal=goal,
        arch=arch,
        pretrained=str(pretrained or ""),
        rows=rows,
        columns=columns,
        anchors=anchors,
        coverage=coverage,
        max_objects=max_objects,
        rois=rois,
        batch=batch,
        batch_why=why,
        epochs=default_epochs(facts.images - held_out, pretrained is not None),
        base_lr=float(f"{RATE * (batch / RATE_BATCH) ** 0.5:.1e}"),
        proposals=min(MAX_PROPOSALS, max(200, 4 * max_objects)),
        detections=max(100, 2 * max_objects),
        held_out=held_out,
    )


def suggested_input(tables: Tables) -> NetworkInput:
    """Returns the network input that a new spec for accuracy would have.

    Args:
        tables: Survey of the data set.
    """
    images = tables.usable
    height, width = (round(float(np.median(images[side]))) for side in ("height", "width"))
    sides = [np.zeros(0)]
    step = max(1, len(tables.objects) // MAX_FITTED)
    for rows in tables.chunks():
        rows = rows[::step]
        owners = tables.images[rows["image"]]
        share = (rows["box"][:, 2:] - rows["box"][:, :2]) / np.stack([owners["width"], owners["height"]], 1)
        sides.append(np.sqrt((share * [width, height]).prod(axis=1)))
    every = np.concatenate(sides)
    small = float(np.quantile(every, SMALL_SHARE)) if len(every) else 1.0
    rows_, columns = input_size(height, width, small, LIMITS["accuracy"])
    return NetworkInput.of_size(rows_, columns)


def arch_in_name(name: str) -> str | None:
    """Returns the backbone that a file name mentions, as `model_config.arch` spells it.

    Args:
        name: File name of weights.
    """
    found = _ARCH_IN_NAME.search(name.lower())
    if found is None:
        return None
    if found[3]:
        return found[3]
    return f"efficientnet:{found[4]}" if found[4] else f"{found[1]}:{found[2]}"


def input_size(height: int, width: int, small_side: float, limits: GoalLimits) -> tuple[int, int]:
    """Returns the size of the network input: images are reduced as far as small objects allow.

    It keeps the aspect ratio of the images, in multiples of the stride. Images are enlarged only if
    a side would be shorter than `MIN_SIDE`.

    Args:
        height: Height of the images, px.
        width: Width of the images, px.
        small_side: Side of small objects, px of the images.
        limits: Limits of the goal.

    Returns:
        Height and width, px; at least `MIN_SIDE` each.
    """
    pixels = height * width
    factor = limits.small_side / max(small_side, 1.0)
    factor = max(factor, (limits.least_pixels / pixels) ** 0.5)
    factor = min(factor, (limits.most_pixels / pixels) ** 0.5, 1.0)
    enlarged = MIN_SIDE / min(height, width)
    if pixels * enlarged**2 <= limits.least_pixels:
        factor = max(factor, enlarged)
    rows, columns = (max(MIN_SIDE, round(side * factor / STRIDE) * STRIDE) for side in (height, width))
    return rows, columns


def input_boxes(facts: Facts, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sampled objects that have an area in a network input.

    Args:
        facts: Properties of the data set.
        rows: Height of the network input, px.
        columns: Width of the network input, px.

    Returns:
        Boxes, `x1 y1 x2 y2` with whole coordinates in pixels of the network input, `[N, 4]`, and the class
        index of each, `[N]`.
    """
    limits = [columns - 1, rows - 1] * 2
    boxes = np.clip(np.round(facts.boxes * [columns, rows, columns, rows]), 0, limits)
    kept = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if not kept.any():  # all objects vanish in this input; keep them all
        boxes[:, 2:], kept[:] = boxes[:, :2] + 1, True
    return boxes[kept], facts.labels[kept]


def _fitted_anchors(facts: Facts, rows: int, columns: int) -> tuple[Anchors, Coverage]:
    """Fits anchors to the objects in a network input; also returns their coverage of the sampled objects."""
    boxes, labels = input_boxes(facts, rows, columns)
    sizes = np.broadcast_to(np.array([rows, columns], float), (len(boxes), 2))
    anchors = fit_enough(boxes, sizes, class_weights(labels), STRIDE)
    coverage = Coverage()
    coverage.add(best_iou(boxes, sizes, anchors, STRIDE), RPN_MIN_OVERLAP, RPN_MAX_OVERLAP)
    return anchors, coverage


def default_epochs(images: int, pretrained: bool = False) -> int:
    """Returns the number of epochs that shows about the same number of images for any size of the data set.

    Args:
        images: Number of training images.
        pretrained: Whether the training starts from pretrained weights.
    """
    wanted = IMAGES_SEEN / 2 if pretrained else IMAGES_SEEN
    return min(MAX_EPOCHS, max(MIN_EPOCHS, round(wanted / max(1, images))))
