"""Evaluates a detector on a labeled data set.

B images per batch, K detection slots, G object slots, R RoIs.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from frcnn.console.progress import track
from frcnn.evaluation.error_analysis import ErrorAnalysis
from frcnn.evaluation.evaluation_state import (
    EvaluationState,
    empty_tally,
    found_in,
    merge,
    objects_in,
    tally_image,
)
from frcnn.evaluation.metrics import build_report
from frcnn.evaluation.report import Report
from frcnn.evaluation.settings import EvaluationSettings
from frcnn.model.batch_detector import DetectionBatch, Detector

if TYPE_CHECKING:
    from frcnn.data.input.dataset import Dataset

# Number of images whose states are kept separately before they are merged.
_MAX_FRESH = 256

log = logging.getLogger(__name__)


class Evaluator:
    """Collects the results of batches and computes a report at any time."""

    def __init__(self, settings: EvaluationSettings) -> None:
        """Creates an evaluation without images.

        Args:
            settings: Settings of the evaluation.
        """
        self._settings = settings
        self._tallies: list[EvaluationState] = [empty_tally(settings)]
        self._fresh: list[EvaluationState] = []

    def update(self, detections: DetectionBatch, batch: Mapping[str, np.ndarray]) -> None:
        """Judges the detections of one batch.

        Args:
            detections: Detections in `batch["images"]`.
            batch: Validation batch: images `[B, H, W, C]`, boxes `[B, G, 4]` (`yxyx` in pixels of the network
                input), classes `[B, G]`, valid and difficult bool `[B, G]`, size int `[B, 2]` if images are
                padded, and image_valid bool `[B]` if some images only fill the batch.
        """
        real = batch.get("image_valid", np.ones(len(batch["images"]), bool))
        for index in np.flatnonzero(real).tolist():
            found = found_in(detections, batch, index, self._settings.score_threshold)
            self._fresh.append(tally_image(objects_in(batch, index), found, self._settings))
        if len(self._fresh) >= _MAX_FRESH:
            self._gather()

    def merge(self, other: EvaluationState) -> None:
        """Adds the state of another process.

        Args:
            other: Result of its `tally()`, for other images and the same settings.
        """
        self._tallies.append(other)

    def tally(self) -> EvaluationState:
        """Returns the state so far, as arrays that can be stored or sent to another process."""
        self._gather()
        self._tallies = [merge(self._tallies)]
        return self._tallies[0]

    def _gather(self) -> None:
        """Merges the states of single images, each of which has counts for every class."""
        if self._fresh:
            self._tallies.append(merge(self._fresh))
            self._fresh = []

    def report(self) -> Report:
        """Computes the metrics of all images so far."""
        return build_report(self.tally(), self._settings)


def evaluate(
    detector: Detector,
    dataset: "Dataset",
    settings: EvaluationSettings,
    *,
    description: str = "evaluating",
    share: Callable[[EvaluationState], Iterable[EvaluationState]] = lambda tally: [tally],
    inspection: ErrorAnalysis | None = None,
) -> Report:
    """Runs a detector over a whole data set, each image once, and computes the metrics.

    Args:
        detector: Detector for preprocessed images.
        dataset: Result of `frcnn.data.input.dataset.validation_dataset`.
        settings: Classes, IoU thresholds and kind of AP.
        description: Label of the progress bar.
        share: Function from the state of this rank to those of all ranks, if `dataset` is one rank's share.
        inspection: Error analysis that also gets every batch.

    Returns:
        Metrics of all images.

    Raises:
        DataError: A record file was replaced meanwhile.
    """
    evaluator = Evaluator(settings)
    seen = collect(detector, dataset, settings, description=description, inspection=inspection)
    for tally in share(seen):
        evaluator.merge(tally)
    report = evaluator.report()
    if report.images < dataset.size:
        missing = dataset.size - report.images
        log.warning("%d of %d images could not be read and are not evaluated", missing, dataset.size)
    difficult = sum(each.difficult for each in report.results[0].classes)
    if report.mean_ap is None and difficult:
        log.warning(
            "All %d objects of %s are difficult (occluded), so none must be found and AP is undefined.",
            difficult,
            ", ".join(settings.class_names),
        )
    elif report.mean_ap is None:
        log.warning(
            "None of the %d images has a labeled object of %s, so AP is undefined. "
            "Check target_class_mapping against the classes in the records.",
            report.images,
            ", ".join(settings.class_names),
        )
    return report


def collect(
    detector: Detector,
    dataset: "Dataset",
    settings: EvaluationSettings,
    *,
    description: str = "evaluating",
    inspection: ErrorAnalysis | None = None,
) -> EvaluationState:
    """Runs a detector over a data set and collects the results.

    Args:
        detector: Detector for preprocessed images.
        dataset: Data set, or one rank's share of it.
        settings: Settings of the evaluation.
        description: Label of the progress bar.
        inspection: Error analysis that also gets every batch.

    Returns:
        State after one pass.

    Raises:
        DataError: A record file was replaced meanwhile.
    """
    evaluator = Evaluator(settings)
    batches = dataset.batches.as_numpy_iterator()
    for batch in track(batches, description, total=dataset.steps_per_epoch):
        detections = detector(batch["images"], batch.get("size"))
        evaluator.update(detections, batch)
        if inspection is not None:
            inspection.update(detections, batch)
    dataset.files.require_unchanged()
    return evaluator.tally()
