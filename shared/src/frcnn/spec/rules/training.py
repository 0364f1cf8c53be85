"""Rules across fields of `training_config`, `evaluation_config` and `inference_config`."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from frcnn.errors import Problem
from frcnn.spec.schema.experiment import Experiment
from frcnn.spec.schema.training import RegularizationType

# The epoch is read from the file name. TAO's user guide writes `epoch12`.
EPOCH_IN_NAME = re.compile(r"\.epoch_?(?P<epoch>\d+)\.[^./\\]+$")


def overlaps(spec: Experiment) -> Iterator[Problem]:
    """Checks that the lower IoU threshold of each matcher is less than the upper one."""
    for matcher in ("rpn", "classifier"):
        low = getattr(spec.training_config, f"{matcher}_min_overlap")
        high = getattr(spec.training_config, f"{matcher}_max_overlap")
        if low >= high > 0:
            yield Problem(
                f"training_config.{matcher}_min_overlap",
                f"found {low:g} with {matcher}_max_overlap {high:g}; "
                f"expected {matcher}_min_overlap < {matcher}_max_overlap (IoU)",
            )


def proposals(spec: Experiment) -> Iterator[Problem]:
    """Checks that NMS keeps fewer boxes than it receives."""
    for name in ("training_config", "evaluation_config", "inference_config"):
        config = getattr(spec, name)
        if config.rpn_nms_max_boxes >= config.rpn_pre_nms_top_N > 0:
            yield Problem(
                f"{name}.rpn_nms_max_boxes",
                f"found {config.rpn_nms_max_boxes} with rpn_pre_nms_top_N {config.rpn_pre_nms_top_N}; "
                "expected rpn_nms_max_boxes < rpn_pre_nms_top_N (boxes)",
            )


def regularizer(spec: Experiment) -> Iterator[Problem]:
    """Checks that a regularizer has a weight."""
    config = spec.training_config.regularizer
    if config.type is not RegularizationType.NO_REG and not 0.0 < config.weight < 1.0:
        yield Problem(
            "training_config.regularizer.weight",
            f"found {config.weight:g} with type {config.type.name}; expected a number in (0, 1), or NO_REG",
        )


def optimizer(spec: Experiment) -> Iterator[Problem]:
    """Checks that an optimizer is set."""
    config = spec.training_config.optimizer
    if config.adam is None and config.sgd is None and config.rmsprop is None:
        yield Problem("training_config.optimizer", "empty; expected one of adam, sgd, rmsprop")


def learning_rate(spec: Experiment) -> Iterator[Problem]:
    """Checks that a schedule is set, and that its points are in order and after the warm-up."""
    path = "training_config.learning_rate"
    config = spec.training_config.learning_rate
    if config.soft_start is None and config.step is None:
        yield Problem(path, "empty; expected one of soft_start, step")
    if config.soft_start is None:
        return
    points = config.soft_start.annealing_points
    for index, (before, point) in enumerate(pairwise(points), start=1):
        if point < before:
            yield Problem(
                f"{path}.soft_start.annealing_points[{index}]",
                f"found {point:g} after {before:g}; expected points in ascending order",
            )
    if points and config.soft_start.soft_start >= points[0]:
        yield Problem(
            f"{path}.soft_start.soft_start",
            f"found {config.soft_start.soft_start:g}; "
            f"expected less than the first of annealing_points, {points[0]:g}",
        )


def resume(spec: Experiment) -> Iterator[Problem]:
    """Checks that a checkpoint name contains the epoch. A name without suffix is a results folder."""
    name = spec.training_config.resume_from_model
    if name and Path(name).suffix and not EPOCH_IN_NAME.search(name) and not Path(name).is_dir():
        yield Problem(
            "training_config.resume_from_model",
            f'found "{name}"; expected a results folder, or a file name with the epoch, like '
            '"frcnn_resnet_18.epoch_12.tlt"',
        )


def iou_range(spec: Experiment) -> Iterator[Problem]:
    """Checks that `start` < `end` for the IoU thresholds of an evaluation."""
    config = spec.evaluation_config.gt_matching_iou_threshold_range
    if config is not None and config.start >= config.end:
        yield Problem(
            "evaluation_config.gt_matching_iou_threshold_range.start",
            f"found {config.start:g} with end {config.end:g}; expected start < end (IoU)",
        )


RULES = (overlaps, proposals, regularizer, optimizer, learning_rate, resume, iou_range)
