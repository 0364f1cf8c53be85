"""Interface between detectors and evaluation or inference: a function from images to padded detections."""

from typing import Protocol

import numpy as np

from frcnn.model.detector import DetectionBatch

__all__ = ["DetectionBatch", "Detector"]


class Detector(Protocol):
    """Callable that detects objects in preprocessed images."""

    def __call__(self, images: np.ndarray, sizes: np.ndarray | None = None) -> DetectionBatch:
        """Detects objects in a batch.

        Args:
            images: Preprocessed images, float32 `[B, H, W, C]`.
            sizes: Heights and widths of the images in px, int `[B, 2]`; the rest is padding. `None` without
                padding. Detectors of static shape may ignore it.

        Returns:
            Padded detections.
        """
        ...
