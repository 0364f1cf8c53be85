"""What evaluation and inference ask of a detector: a function from images to padded detections."""

from typing import Protocol

import numpy as np

from frcnn.model.detector import DetectionBatch

__all__ = ["DetectionBatch", "Detector"]


class Detector(Protocol):
    """From network-ready images to what was found there."""

    def __call__(self, images: np.ndarray, sizes: np.ndarray | None = None) -> DetectionBatch:
        """Detections of images float32 [B, H, W, C], prepared as the data pipeline prepares them.

        `sizes` int [B, 2] are the heights and widths of the images in px, the rest being padding; without
        them there is none. Detectors of static shape need not look at them.
        """
        ...
