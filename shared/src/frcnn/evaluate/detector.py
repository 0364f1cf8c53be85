"""What evaluation and inference ask of a detector: a function from images to padded detections."""

from collections.abc import Callable

import numpy as np

from frcnn.model.outputs import DetectionBatch

__all__ = ["DetectionBatch", "Detector"]

# From float32 [B, H, W, C], prepared as the data pipeline prepares images, to what was found there.
Detector = Callable[[np.ndarray], DetectionBatch]
