"""From image files to detections in the pixels of the original images.

B images a batch, K detection slots, N detections of an image, h and w the size of an original image.
"""

import collections
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from frcnn.data.conversion.stored_image import UPRIGHT
from frcnn.data.image_file import LoadedImage, UnreadableImageError, load_image
from frcnn.data.transforms.preprocess import ImageSettings, batch_of, decode_image
from frcnn.inference.detections import to_original as to_original
from frcnn.model.batch_detector import DetectionBatch, Detector

# Images are decoded while the detector is busy; more threads than this are of no use to it.
_DECODERS = 4
_BATCHES_AHEAD = 2


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """A file that is no image, and why."""

    path: Path
    reason: str


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What was found in one image, highest score first.

    Attributes:
        path: The image's file.
        encoded: The file's bytes.
        boxes: float32 [N, 4] yxyx, pixels of the original image, inside it.
        scores: float32 [N].
        classes: int [N].
        orientation: EXIF orientation in the file.
        turned: EXIF orientation that was applied; boxes are in pixels of the turned image.
    """

    path: Path
    encoded: bytes
    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    orientation: int = UPRIGHT
    turned: int = UPRIGHT

    def pixels(self) -> np.ndarray:
        """The original image in colour, turned if it was for the detector; uint8 [h, w, 3]."""
        with tf.device("CPU"):
            return decode_image(tf.constant(self.encoded), channels=3, orientation=self.turned).numpy()


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
    """Runs `detector` over image files, `batch_size` at a time.

    Images are prepared by the same code as in training and evaluation. The last batch is filled up with
    empty images, so that the detector sees one batch size only. Where images keep their aspect, those of a
    batch are padded to a common shape. A file that cannot be read takes no place in it.

    Args:
        detector: From network-ready images to detections.
        paths: The files.
        settings: What the network expects of an image.
        batch_size: B.
        score_threshold: Detections below it are left out.
        apply_exif: Whether images are turned by their EXIF orientation.

    Yields:
        One result a file, in the order of `paths`; an unreadable one may come somewhat earlier.
    """
    waiting: list[_Prepared] = []
    for prepared in _prepare_ahead(paths, settings, apply_exif, batch_size * _BATCHES_AHEAD):
        if isinstance(prepared, Unreadable):
            yield prepared
            continue
        waiting.append(prepared)
        if len(waiting) == batch_size:
            yield from _detect(detector, waiting, settings, batch_size, score_threshold)
            waiting = []
    if waiting:
        yield from _detect(detector, waiting, settings, batch_size, score_threshold)


def _prepare_ahead(
    paths: Sequence[Path], settings: ImageSettings, apply_exif: bool, ahead: int
) -> Iterator[_Prepared | Unreadable]:
    """Reads and prepares files in threads, at most `ahead` of what has been taken."""
    remaining = iter(paths)
    with ThreadPoolExecutor(_DECODERS, "image-decoder") as pool:
        started: collections.deque[Future[_Prepared | Unreadable]] = collections.deque()
        try:
            while True:
                for path in itertools.islice(remaining, ahead - len(started)):
                    started.append(pool.submit(_prepare, path, settings, apply_exif))
                if not started:
                    return
                yield started.popleft().result()
        finally:
            # On an error or Ctrl-C there is no point in preparing the rest.
            pool.shutdown(wait=False, cancel_futures=True)


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
