"""A trained model as a function from images to detections."""

import numpy as np
import tensorflow as tf

from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import Conv2D
from frcnn.model.outputs import DetectionBatch
from frcnn.model.settings import DetectionSettings


class KerasDetector:
    """Compiled once for each batch size; sees the model's weights as they were at the last `refresh`."""

    def __init__(self, model: FasterRCNN, settings: DetectionSettings) -> None:
        """`settings` are those of evaluation or of inference."""
        self.model = model
        self.settings = settings
        self.refresh()
        # One trace a batch size is what is wanted, not something to warn of.
        self._detect = tf.function(lambda images: model.detect(images, settings), reduce_retracing=False)

    def refresh(self) -> None:
        """Takes over the model's present weights: kernels that are used transformed are transformed once."""
        for layer in self.model.roi_head.layers:
            if isinstance(layer, Conv2D) and layer.takes_dft(layer.input.shape):
                layer.cache_kernel(layer.input.shape[1])

    def __call__(self, images: np.ndarray) -> DetectionBatch:
        """Detections of network-ready images, float32 [B, H, W, channels]."""
        detections, proposals = self._detect(tf.convert_to_tensor(images, tf.float32))
        return DetectionBatch(*(part.numpy() for part in (*detections, proposals.boxes)))
