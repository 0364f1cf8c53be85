"""From image files to detections in the pixels of the original images.

B images a batch, K detection slots, N detections of an image, h and w the size of an original image.
"""

import collections
import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from frcnn.data.transforms.preprocess import ImageSettings, batch_of, decode_image, prepare_image
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
    """

    path: Path
    encoded: bytes
    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray

    def pixels(self) -> np.ndarray:
        """The original image in colour, uint8 [h, w, 3]."""
        with tf.device("CPU"):
            return decode_image(tf.constant(self.encoded), channels=3).numpy()


@dataclasses.dataclass(frozen=True)
class _Prepared:
    path: Path
    encoded: bytes
    image: np.ndarray
    size: tuple[int, int]


def predict(
    detector: Detector,
    paths: Sequence[Path],
    settings: ImageSettings,
    *,
    batch_size: int,
    score_threshold: float,
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

    Yields:
        One result a file, in the order of `paths`; an unreadable one may come somewhat earlier.
    """
    waiting: list[_Prepared] = []
    for prepared in _prepare_ahead(paths, settings, batch_size * _BATCHES_AHEAD):
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
    paths: Sequence[Path], settings: ImageSettings, ahead: int
) -> Iterator[_Prepared | Unreadable]:
    """Reads and prepares files in threads, at most `ahead` of what has been taken."""
    remaining = iter(paths)
    with ThreadPoolExecutor(_DECODERS, "image-decoder") as pool:
        started: collections.deque[Future[_Prepared | Unreadable]] = collections.deque()
        try:
            while True:
                for path in itertools.islice(remaining, ahead - len(started)):
                    started.append(pool.submit(_prepare, path, settings))
                if not started:
                    return
                yield started.popleft().result()
        finally:
            # On an error or Ctrl-C there is no point in preparing the rest.
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare(path: Path, settings: ImageSettings) -> _Prepared | Unreadable:
    try:
        encoded = path.read_bytes()
        with tf.device("CPU"):
            image, size = prepare_image(tf.constant(encoded), settings)
    except OSError as error:
        return Unreadable(path, error.strerror or str(error))
    except tf.errors.OpError as error:
        return Unreadable(path, _reason(error.message))
    height, width = size.numpy().tolist()
    return _Prepared(path, encoded, image.numpy(), (height, width))


def _detect(
    detector: Detector,
    waiting: Sequence[_Prepared],
    settings: ImageSettings,
    batch_size: int,
    threshold: float,
) -> Iterator[Prediction]:
    found = detector(*batch_of([each.image for each in waiting], settings, batch_size))
    for index, each in enumerate(waiting):
        yield _prediction(each, found, index, threshold)


def _prediction(image: _Prepared, found: DetectionBatch, index: int, threshold: float) -> Prediction:
    scores = found.scores[index, : found.count[index]]
    order = np.argsort(-scores, kind="stable")
    chosen = order[scores[order] >= threshold]
    return Prediction(
        path=image.path,
        encoded=image.encoded,
        boxes=to_original(found.boxes[index, chosen], image.image.shape[:2], image.size),
        scores=scores[chosen],
        classes=found.classes[index, chosen],
    )


def _reason(message: str) -> str:
    """TensorFlow's message without the names of nodes and ops."""
    plain = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]|name:\s*$", "", message).strip()
    return plain.splitlines()[0].rstrip(" :") if plain else "not an image that can be decoded"
