"""Analyzes errors: confusions, results by object size and score, the worst errors, and example images.

N detections, G objects, C classes of an image. Everything is judged at one IoU threshold.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from frcnn.evaluation.confusion import Confusion
from frcnn.evaluation.evaluation_state import Found, Objects, found_in, objects_in
from frcnn.evaluation.example_images import EXAMPLES, draw_example, example_priority
from frcnn.evaluation.ignored_regions import ignore_in_regions
from frcnn.evaluation.matching import FALSE_POSITIVE, TRUE_POSITIVE, inclusive_iou, match
from frcnn.evaluation.object_sizes import SizeAnalysis
from frcnn.evaluation.settings import EvaluationSettings
from frcnn.evaluation.thumbnails import RankedThumbnail, TopThumbnails
from frcnn.model.batch_detector import DetectionBatch

BINS = 20


@dataclasses.dataclass(frozen=True)
class _Judged:
    """An image with its matches at one IoU threshold.

    Attributes:
        objects: Labeled objects.
        found: Detections.
        overlaps: IoU of detections and objects of any class, `[N, G]`.
        outcomes: Outcomes as of `matching.match`, int8 `[N]`.
        shown: Whether a user sees a detection, bool `[N]`.
        missed: Objects that no shown detection found, without difficult ones, bool `[G]`.
        lookalikes: Index of the wrong detection of another class on each missed object; -1 without, `[G]`.
    """

    objects: Objects
    found: Found
    overlaps: np.ndarray
    outcomes: np.ndarray
    shown: np.ndarray
    missed: np.ndarray
    lookalikes: np.ndarray

    @property
    def false_positives(self) -> np.ndarray:
        """Shown detections that are wrong, bool `[N]`."""
        wrong: np.ndarray = self.shown & (self.outcomes == FALSE_POSITIVE)
        return wrong


class ErrorAnalysis:
    """Error analysis, updated batch by batch; all results can be read at any time.

    All parts count the same matches: the numbers of missed objects and wrong detections are those of
    `report.ClassResult.shown`.

    Attributes:
        confused: Confusions of labeled and detected classes, over the shown detections.
        right, wrong: Correct and wrong detections by class and score, int `[C, BINS]`.
        false_alarms, misses: Worst errors of each kind.
        examples: Sample of the images with their detections.
        by_size: Results by size of the objects.
    """

    def __init__(self, settings: EvaluationSettings, *, mean: np.ndarray, scale: float, bgr: bool) -> None:
        """Creates an analysis without images.

        Args:
            settings: Settings of the evaluation; only the first IoU threshold is used.
            mean: Channel means that were subtracted from the images, float `[channels]`.
            scale: Divisor that was applied to the images.
            bgr: Whether channels are in BGR order.
        """
        count = len(settings.class_names)
        self.settings = settings
        self.confused = Confusion(count)
        self.right, self.wrong = (np.zeros((count, BINS), np.int64) for _ in range(2))
        self.false_alarms, self.misses = TopThumbnails(), TopThumbnails()
        self.examples = TopThumbnails(EXAMPLES)
        self._mean, self._scale, self._bgr = mean, scale, bgr
        self.by_size = SizeAnalysis(settings)

    def update(self, detections: DetectionBatch, batch: Mapping[str, np.ndarray]) -> None:
        """Analyzes one batch.

        Args:
            detections: Detections in `batch["images"]`.
            batch: Validation batch; see `frcnn.evaluation.evaluator.Evaluator.update`.
        """
        real = batch.get("image_valid", np.ones(len(batch["images"]), bool))
        for index in np.flatnonzero(real).tolist():
            objects = objects_in(batch, index)
            found = found_in(detections, batch, index, self.settings.score_threshold)
            self._see(objects, found, batch, index)

    @property
    def confusion(self) -> np.ndarray:
        """Confusion matrix, int `[C + 1, C + 1]`. Last row: false positives; last column: misses."""
        return self.confused.table(self.settings.class_names, len(self.settings.class_names)).matrix

    def _see(self, objects: Objects, found: Found, batch: Mapping[str, Any], index: int) -> None:
        overlaps = inclusive_iou(found.boxes, objects.boxes)
        iou = overlaps * (found.classes[:, None] == objects.classes[None, :])
        judged = self._judge(objects, found, overlaps, iou)
        self._count_scores(found, judged.outcomes)
        self.by_size.add(objects, found, iou, _pixel_area(batch, index))
        self._count_confusion(judged)
        self._keep_mistakes(judged, iou, batch, index)
        self._keep_example(judged, batch, index)

    def _judge(self, objects: Objects, found: Found, overlaps: np.ndarray, iou: np.ndarray) -> _Judged:
        """Matches detections to objects as the metrics do, then wrong ones to missed objects."""
        threshold = np.asarray(self.settings.iou_thresholds[:1])
        coco = self.settings.coco_matching
        outcomes, partners = match(found.scores, iou, objects.difficult, threshold, coco=coco)
        outcomes = ignore_in_regions(outcomes, found.boxes, objects.regions, threshold)[:, 0]
        shown = found.scores >= self.settings.shown_score
        missed = ~objects.difficult
        missed[partners[shown & (outcomes == TRUE_POSITIVE), 0]] = False
        judged = _Judged(objects, found, overlaps, outcomes, shown, missed, np.full(len(missed), -1))
        self._match_lookalikes(judged)
        return judged

    def _match_lookalikes(self, judged: _Judged) -> None:
        """Matches wrong detections to missed objects of other classes, best score first."""
        scores, classes = judged.found.scores, judged.found.classes
        for detection in sorted(np.flatnonzero(judged.false_positives), key=lambda at: -scores[at]):
            free = judged.missed & (judged.lookalikes < 0) & (judged.objects.classes != classes[detection])
            iou = np.where(free, judged.overlaps[detection], 0.0)
            if iou.max(initial=0.0) >= self.settings.iou_thresholds[0]:
                judged.lookalikes[iou.argmax()] = detection

    def _count_scores(self, found: Found, outcomes: np.ndarray) -> None:
        bins = np.minimum((found.scores * BINS).astype(int), BINS - 1)
        for histogram, outcome in ((self.right, TRUE_POSITIVE), (self.wrong, FALSE_POSITIVE)):
            chosen = outcomes == outcome
            np.add.at(histogram, (found.classes[chosen], bins[chosen]), 1)

    def _count_confusion(self, judged: _Judged) -> None:
        background = len(self.settings.class_names)
        classes, labeled = judged.found.classes, judged.objects.classes
        for found in classes[judged.shown & (judged.outcomes == TRUE_POSITIVE)]:
            self.confused.add(found, found)
        for missed in np.flatnonzero(judged.missed):
            lookalike = judged.lookalikes[missed]
            self.confused.add(labeled[missed], background if lookalike < 0 else classes[lookalike])
        for alarm in np.setdiff1d(np.flatnonzero(judged.false_positives), judged.lookalikes):
            self.confused.add(background, classes[alarm])

    def _keep_mistakes(self, judged: _Judged, iou: np.ndarray, batch: Mapping[str, Any], index: int) -> None:
        names, frame = self.settings.class_names, _frame(batch, index)
        objects, found = judged.objects, judged.found

        def add(worst: TopThumbnails, priority: float, box: np.ndarray, class_index: int, text: str) -> None:
            if worst.takes(priority):
                pixels = self._pixels(batch, index)
                worst.add(RankedThumbnail.cut(priority, pixels, box, class_index, f"{text}, {frame}"))

        for detection in np.flatnonzero(judged.false_positives):
            name, score = names[found.classes[detection]], float(found.scores[detection])
            add(
                *(self.false_alarms, score, found.boxes[detection], int(found.classes[detection])),
                f"{name} {score:.2f}",
            )
        # An object without a matching detection is a worse miss than one with a low-scoring match.
        reached = np.where(iou >= self.settings.iou_thresholds[0], found.scores[:, None], 0.0)
        best = reached.max(axis=0, initial=0.0)
        for missed in np.flatnonzero(judged.missed).tolist():
            height, width = _sides(objects.boxes[missed])
            score = float(best[missed])
            priority = 1.0 - score + min(height * width, 1e6) * 1e-9
            add(
                *(self.misses, priority, objects.boxes[missed], int(objects.classes[missed])),
                f"{names[objects.classes[missed]]}: {self._reason(judged, missed, score)}",
            )

    def _reason(self, judged: _Judged, missed: int, score: float) -> str:
        """Says why an object counts as missed; `score` is that of its best matching detection, or 0."""
        lookalike = judged.lookalikes[missed]
        if lookalike >= 0:
            name = self.settings.class_names[judged.found.classes[lookalike]]
            return f"detected as {name} {judged.found.scores[lookalike]:.2f}"
        if score >= self.settings.shown_score:
            return f"its detection ({score:.2f}) counts for another object"
        return f"best score {score:.2f}" if score > 0.0 else "no matching detection"

    def _keep_example(self, judged: _Judged, batch: Mapping[str, Any], index: int) -> None:
        frame = _frame(batch, index)
        if not self.examples.takes(example_priority(frame)):
            return
        found, shown = judged.found, judged.shown
        visible = Found(found.boxes[shown], found.scores[shown], found.classes[shown])
        self.examples.add(
            draw_example(
                frame,
                self._pixels(batch, index),
                judged.objects,
                visible,
                judged.outcomes[shown] != FALSE_POSITIVE,
                np.flatnonzero(judged.missed),
                self.settings.class_names,
            )
        )

    def _pixels(self, batch: Mapping[str, Any], index: int) -> np.ndarray:
        """Converts an image of the network input to RGB without padding, uint8 `[H, W, 3]`."""
        image = batch["images"][index]
        if "size" in batch:
            height, width = batch["size"][index]
            image = image[:height, :width]
        values = np.clip(np.rint(image * self._scale + self._mean), 0, 255).astype(np.uint8)
        values = np.repeat(values, 3, axis=-1) if values.shape[-1] == 1 else values
        return values[..., ::-1] if self._bgr else values


def _frame(batch: Mapping[str, Any], index: int) -> str:
    if "frame_id" not in batch:
        return f"image {index}"
    name = batch["frame_id"][index]
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def _sides(box: np.ndarray) -> tuple[float, float]:
    return float(box[2] - box[0] + 1), float(box[3] - box[1] + 1)


def _pixel_area(batch: Mapping[str, Any], index: int) -> float:
    """Returns how many pixels of the original image one pixel of the network input covers."""
    if "original_size" not in batch or "size" not in batch:
        return 1.0
    original, size = (np.asarray(batch[name][index], float) for name in ("original_size", "size"))
    return float(np.prod(original / size))
