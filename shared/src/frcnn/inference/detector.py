"""Detector for images in any form, with the same interface for all runtimes.

Boxes are in pixels of the images.
"""

import contextlib
import dataclasses
import functools
import logging
import numbers
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from frcnn.data.transforms.image_arrays import prepare
from frcnn.data.transforms.image_settings import ImageSettings, batch_of
from frcnn.errors import DataError, RunError, UsageError
from frcnn.inference.detections import Detections, detections_in
from frcnn.inference.images import ImageLike, pixels_of_image
from frcnn.inference.prefetch import BATCHES_AHEAD, prefetched
from frcnn.storage.faults import MissingError

if TYPE_CHECKING:
    from frcnn.model.batch_detector import Detector as BatchDetector

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class DetectorSettings:
    """Settings of a detector in addition to its network function.

    Attributes:
        image: Preprocessing of the images.
        class_names: Class names in the order of their ids, without background.
        score: Default for the lowest score of a detection.
        batch_size: Default number of images per batch in `stream`.
        runtime: Runtime of the model: `keras`, `onnxruntime`, `openvino` or `tensorrt`.
    """

    image: ImageSettings
    class_names: tuple[str, ...]
    score: float
    batch_size: int
    runtime: str


@dataclasses.dataclass(frozen=True)
class _Prepared:
    pixels: NDArray[np.float32]
    size: tuple[int, int]
    source: str | None


class Detector:
    """Loaded model, created by `frcnn.load`.

    All methods are thread-safe. A detector cannot be pickled, because that would copy its key: load it in
    each process, after the fork.
    """

    def __init__(
        self, detect: "BatchDetector", settings: DetectorSettings, close: Callable[[], None] = lambda: None
    ) -> None:
        """Creates a detector.

        Args:
            detect: Function from preprocessed images to detections.
            settings: Settings of the detector.
            close: Function that frees the resources of `detect`.
        """
        self._detect: BatchDetector | None = detect
        self._settings = settings
        self._close = close

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of their ids, without background."""
        return self._settings.class_names

    @property
    def runtime(self) -> str:
        """Runtime of the model: `keras`, `onnxruntime`, `openvino` or `tensorrt`."""
        return self._settings.runtime

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width of the network input, px; None if images keep their aspect ratio."""
        image = self._settings.image
        return None if image.dynamic else (image.height, image.width)

    def predict(self, image: ImageLike, *, score: float | None = None) -> Detections:
        """Detects the objects in one image.

        Args:
            image: Path or `s3://` URI, bytes of a JPEG or PNG file, PIL image, or array, uint8 `[H, W, 3]` in
                RGB or `[H, W]` in gray.
            score: Lowest score of a detection, 0 to 1; default `bbox_visualize_threshold` of the model.

        Returns:
            The detections, best score first, in px of the image.

        Raises:
            UsageError: The array has another data type or shape, or `score` is not in 0..1.
            DataError: The image is unreadable.
            StoreError: The image on S3 is missing or cannot be fetched.
        """
        threshold = self._threshold(score)
        return self._run([self._prepared(image)], 1, threshold)[0]

    def stream(
        self,
        images: Iterable[ImageLike],
        *,
        score: float | None = None,
        batch_size: int | None = None,
        unreadable: Literal["raise", "skip"] = "raise",
    ) -> Iterator[Detections]:
        """Detects the objects in many images with bounded memory.

        A sequence, such as a list of paths, is prepared ahead in threads. Any other iterable, such as the
        frames of a camera, is read one batch at a time and never ahead.

        Args:
            images: Images as `predict` takes them.
            score: Lowest score of a detection, 0 to 1; default `bbox_visualize_threshold` of the model.
            batch_size: Number of images per batch; by default the model's batch size.
            unreadable: Handling of unreadable images and missing objects on S3: `raise` raises, `skip`
                logs a warning. An unreachable server is an error either way.

        Returns:
            Iterator of one result per image, in order, without the skipped images.

        Raises:
            UsageError: An argument or an image has an invalid type or value.
            DataError: An image is unreadable; raised when its turn comes, after the results of the images
                before it. Errors of `images` itself are passed on in the same way.
            StoreError: An image on S3 cannot be fetched; raised in the same way.
        """
        threshold = self._threshold(score)
        size = self._settings.batch_size if batch_size is None else batch_size
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise UsageError(f"batch_size {size!r}: expected 1 or more", argument="batch_size")
        if unreadable not in ("raise", "skip"):
            raise UsageError(f"unreadable {unreadable!r}: expected 'raise' or 'skip'", argument="unreadable")
        if isinstance(images, str | bytes) or not isinstance(images, Iterable):
            raise UsageError(
                f"images of type {type(images).__name__}: expected a list or another iterable of images",
                argument="images",
            )
        return self._stream(images, threshold, size, skip=unreadable == "skip")

    def close(self) -> None:
        """Frees the model's memory; `predict` and `stream` then raise RunError."""
        if self._detect is not None:
            self._detect = None
            self._close()

    def __enter__(self) -> Self:
        """Returns the detector, which is closed at the end of the block."""
        return self

    def __exit__(self, *details: object) -> None:
        """Closes the detector."""
        self.close()

    def __reduce__(self) -> NoReturn:
        """Raises TypeError: a detector cannot be pickled."""
        raise TypeError("a detector cannot be pickled; load it in each process")

    def __repr__(self) -> str:
        """Shows runtime, input size and classes."""
        size = "any size" if self.input_size is None else "x".join(map(str, reversed(self.input_size)))
        return f"<Detector of {', '.join(self.class_names)}: {self.runtime}, input {size}>"

    def _stream(
        self, images: Iterable[ImageLike], threshold: float, size: int, *, skip: bool
    ) -> Iterator[Detections]:
        for batch in self._batches(images, size, skip=skip):
            yield from self._run(batch, size, threshold)

    def _batches(self, images: Iterable[ImageLike], size: int, *, skip: bool) -> Iterator[list[_Prepared]]:
        """Yields full batches; at the end, and before an error is raised, the images that are left."""
        waiting: list[_Prepared] = []
        try:
            with contextlib.closing(self._turns(images, size)) as turns:
                for each in turns:
                    try:
                        waiting.append(each())
                    except (DataError, MissingError) as error:
                        if not skip:
                            raise
                        log.warning("%s; skipped", str(error).removesuffix("."))
                        continue
                    if len(waiting) == size:
                        yield waiting
                        waiting = []
        except Exception:
            # The results of the images before the faulty one are not lost.
            if waiting:
                yield waiting
            raise
        if waiting:
            yield waiting

    def _turns(
        self, images: Iterable[ImageLike], size: int
    ) -> Generator[Callable[[], _Prepared], None, None]:
        """Yields a function for each image that returns it prepared."""
        if isinstance(images, Sequence):
            return prefetched(self._prepared, images, size * BATCHES_AHEAD)
        return (functools.partial(self._prepared, each) for each in images)

    def _prepared(self, image: ImageLike) -> _Prepared:
        pixels, source = pixels_of_image(image, self._settings.image.channels)
        height, width = pixels.shape[:2]
        return _Prepared(prepare(pixels, self._settings.image), (height, width), source)

    def _run(self, images: Sequence[_Prepared], batch_size: int, threshold: float) -> list[Detections]:
        detect = self._detect
        if detect is None:
            raise RunError("the detector is closed; load it again")
        batch, sizes = batch_of([each.pixels for each in images], self._settings.image, batch_size)
        found = detect(batch, sizes)
        return [
            detections_in(
                found,
                index,
                network=(each.pixels.shape[0], each.pixels.shape[1]),
                size=each.size,
                class_names=self.class_names,
                score=threshold,
                source=each.source,
            )
            for index, each in enumerate(images)
        ]

    def _threshold(self, score: float | None) -> float:
        if score is None:
            return self._settings.score
        if isinstance(score, bool) or not isinstance(score, numbers.Real) or not 0.0 <= score <= 1.0:
            raise UsageError(f"score {score!r}: expected a number from 0 to 1", argument="score")
        return float(score)
