"""A detector and a labelled data set in, a report out.

B images a batch, K detection slots, G object slots, R RoIs.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from frcnn.console.progress import track
from frcnn.evaluation.accumulate import Tally, empty_tally, found_in, merge, objects_in, tally_image
from frcnn.evaluation.inspection import Inspection
from frcnn.evaluation.report import Report, build_report
from frcnn.evaluation.settings import EvaluationSettings
from frcnn.model.batch_detector import DetectionBatch, Detector

if TYPE_CHECKING:
    from frcnn.data.input.dataset import Dataset
    from frcnn.spec.schema.experiment import Experiment

# Images whose tallies are kept one by one.
_MOST_FRESH = 256

log = logging.getLogger(__name__)


class Evaluator:
    """Collects what batches of detections found, and turns it into a report at any time."""

    def __init__(self, settings: EvaluationSettings) -> None:
        """Nothing seen yet."""
        self._settings = settings
        self._tallies: list[Tally] = [empty_tally(settings)]
        self._fresh: list[Tally] = []

    def update(self, detections: DetectionBatch, batch: Mapping[str, np.ndarray]) -> None:
        """Judges the detections of one batch.

        Args:
            detections: What the detector found in `batch["images"]`.
            batch: A validation batch: images [B, H, W, C], boxes [B, G, 4] yxyx px of the network input,
                classes [B, G], valid and difficult bool [B, G], size int [B, 2] if images are padded, and
                image_valid bool [B] if some of them are only there to fill the batch.
        """
        real = batch.get("image_valid", np.ones(len(batch["images"]), bool))
        for index in np.flatnonzero(real).tolist():
            found = found_in(detections, batch, index, self._settings.score_threshold)
            self._fresh.append(tally_image(objects_in(batch, index), found, self._settings))
        if len(self._fresh) >= _MOST_FRESH:
            self._gather()

    def merge(self, other: Tally) -> None:
        """Adds what another process has seen: its `tally()`, of other images and the same settings."""
        self._tallies.append(other)

    def tally(self) -> Tally:
        """All that has been seen, as arrays that can be stored or sent to another process."""
        self._gather()
        self._tallies = [merge(self._tallies)]
        return self._tallies[0]

    def _gather(self) -> None:
        """Puts the tallies of single images together: each has numbers for every class."""
        if self._fresh:
            self._tallies.append(merge(self._fresh))
            self._fresh = []

    def report(self) -> Report:
        """The metrics of all that has been seen."""
        return build_report(self.tally(), self._settings)


def evaluate(
    detector: Detector,
    dataset: "Dataset",
    spec: "Experiment",
    *,
    description: str = "evaluating",
    share: Callable[[Tally], Iterable[Tally]] = lambda tally: [tally],
    inspection: Inspection | None = None,
) -> Report:
    """Runs `detector` over the whole data set, each image once, and reports how well it did.

    Args:
        detector: From network-ready images to detections.
        dataset: From `frcnn.data.input.dataset.validation_dataset`, made for `spec`.
        spec: Gives the classes, IoU thresholds and the kind of AP.
        description: What the progress bar says.
        share: Where `dataset` is one rank's part of the images: from its tally to those of all ranks.
        inspection: Gets to see every batch too.
    """
    settings = EvaluationSettings.from_spec(spec)
    evaluator = Evaluator(settings)
    seen = collect(detector, dataset, settings, description=description, inspection=inspection)
    for tally in share(seen):
        evaluator.merge(tally)
    report = evaluator.report()
    if report.images < dataset.size:
        missing = dataset.size - report.images
        log.warning("%d of %d images could not be read and are not in the result", missing, dataset.size)
    if report.mean_ap is None:
        log.warning(
            "none of the %d images has a labelled object of %s: AP is not defined; "
            "check target_class_mapping against the classes in the records",
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
    inspection: Inspection | None = None,
) -> Tally:
    """The tally of one pass over `dataset`, which may be one rank's share of the images."""
    evaluator = Evaluator(settings)
    batches = dataset.batches.as_numpy_iterator()
    for batch in track(batches, description, total=dataset.steps_per_epoch):
        detections = detector(batch["images"], batch.get("size"))
        evaluator.update(detections, batch)
        if inspection is not None:
            inspection.update(detections, batch)
    return evaluator.tally()
