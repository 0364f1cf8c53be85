"""Runs a detector on image files; boxes are in pixels of the original images.

Letters in shapes: N detections of an image, h and w the size of an original image.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from frcnn.data.conversion.stored_image import UPRIGHT
from frcnn.data.image_file import LoadedImage, UnreadableImageError, load_image
from frcnn.data.transforms.preprocess import ImageSettings, batch_of, decode_image
from frcnn.inference.detections import to_original as to_original
from frcnn.inference.prefetch import BATCHES_AHEAD, prefetched
from frcnn.model.batch_detector import DetectionBatch, Detector


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """File that is not a readable image, and the reason."""

    path: Path
    reason: str


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Detections of one image, highest score first.

    Attributes:
        path: Image file.
        encoded: Bytes of the file.
        boxes: Boxes inside the image, `yxyx` in pixels of the original image, float32 `[N, 4]`.
        scores: Scores, float32 `[N]`.
        classes: Class indices, int `[N]`.
        orientation: EXIF orientation in the file.
        turned: EXIF orientation that was applied; boxes are in pixels of the rotated image.
    """

    path: Path
    encoded: bytes
    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    orientation: int = UPRIGHT
    turned: int = UPRIGHT

    def pixels(self) -> np.ndarray:
        """Decodes the original image, rotated as for the detector; uint8 `[h, w, 3]`, RGB."""
        with tf.device("CPU"):
            pixels = decode_image(tf.constant(self.encoded), channels=3, orientation=self.turned)
        return np.asarray(pixels)


@dataclasses.dataclass(frozen=True)
class _Prepared:
    path: Path
    image: LoadedImage


def predict(
    detector: Detector,
    paths: Sequence[Path],
    settings: ImageSettings,
    *,
    batch_size: int,
    score_threshold: float,
    apply_exif: bool = False,
) -> Iterator[Prediction | Unreadable]:
    """Runs a detector on image files, `batch_size` at a time.

    Images are preprocessed by the same code as in training and evaluation. The last batch is filled up with
    empty images, so that the detector sees only one batch size. If images keep their aspect ratio, those of a
    batch are padded to a common shape. Unreadable files are left out of the batches.

    Args:
        detector: Function from preprocessed images to detections.
        paths: Image files.
        settings: Preprocessing of the images.
        batch_size: Number of images per batch.
        score_threshold: Lowest score to keep, 0 to 1.
        apply_exif: Whether to rotate images by their EXIF orientation.

    Yields:
        One result per file, in the order of `paths`; an unreadable file may be yielded somewhat earlier.
    """
    waiting: list[_Prepared] = []
    prepare = functools.partial(_prepare, settings=settings, apply_exif=apply_exif)
    for get in prefetched(prepare, paths, batch_size * BATCHES_AHEAD):
        prepared = get()
        if isinstance(prepared, Unreadable):
            yield prepared
            continue
        waiting.append(prepared)
        if len(waiting) == batch_size:
            yield from _detect(detector, waiting, settings, batch_size, score_threshold)
            waiting = []
    if waiting:
        yield from _detect(detector, waiting, settings, batch_size, score_threshold)


def _prepare(path: Path, settings: ImageSettings, apply_exif: bool) -> _Prepared | Unreadable:
    try:
        return _Prepared(path, load_image(path, settings, apply_exif=apply_exif))
    except UnreadableImageError as error:
        return Unreadable(path, str(error))


def _detect(
    detector: Detector,
    waiting: Sequence[_Prepared],
    settings: ImageSettings,
    batch_size: int,
    threshold: float,
) -> Iterator[Prediction]:
    found = detector(*batch_of([each.image.pixels for each in waiting], settings, batch_size))
    for index, each in enumerate(waiting):
        yield _prediction(each.path, each.image, found, index, threshold)


def _prediction(
    path: Path, image: LoadedImage, found: DetectionBatch, index: int, threshold: float
) -> Prediction:
    scores = found.scores[index, : found.count[index]]
    order = np.argsort(-scores, kind="stable")
    chosen = order[scores[order] >= threshold]
    return Prediction(
        path=path,
        encoded=image.encoded,
        boxes=to_original(found.boxes[index, chosen], image.pixels.shape[:2], image.size),
        scores=scores[chosen],
        classes=found.classes[index, chosen],
        orientation=image.orientation,
        turned=image.turned,
    )
