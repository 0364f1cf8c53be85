"""A trained model as a function from images to detections."""

import numpy as np
import tensorflow as tf

from frcnn.model.detector import DetectionBatch, checked_sizes
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import Conv2D
from frcnn.model.settings import DetectionSettings


class KerasDetector:
    """Sees the model's weights as they were at the last `refresh`.

    Compiled once for each batch size; once for all sizes of batch and images where the shape is dynamic.
    """

    def __init__(self, model: FasterRCNN, settings: DetectionSettings) -> None:
        """`settings` are those of evaluation or of inference."""
        self.model = model
        self.settings = settings
        self.refresh()
        if model.geometry.dynamic:
            signature = [
                tf.TensorSpec([None, None, None, model.geometry.channels]),
                tf.TensorSpec([None, 2], tf.int32),
            ]
            self._detect = tf.function(
                lambda images, sizes: model.detect(images, settings, sizes), input_signature=signature
            )
        else:
            # One trace a batch size is what is wanted, not something to warn of.
            self._detect = tf.function(lambda images: model.detect(images, settings), reduce_retracing=False)

    def refresh(self) -> None:
        """Takes over the model's present weights: kernels that are used transformed are transformed once."""
        for layer in self.model.roi_head.layers:
            if isinstance(layer, Conv2D) and layer.takes_dft(layer.input.shape):
                layer.cache_kernel(layer.input.shape[1])

    @property
    def traces(self) -> int:
        """How often the model has been compiled."""
        return int(self._detect.experimental_get_tracing_count())

    def __call__(self, images: np.ndarray, sizes: np.ndarray | None = None) -> DetectionBatch:
        """Detections of network-ready images, float32 [B, H, W, channels].

        Where the shape is dynamic, `sizes` int [B, 2] are the heights and widths of the images in px and
        the rest is padding; without them there is none.
        """
        inputs = [tf.convert_to_tensor(images, tf.float32)]
        if self.model.geometry.dynamic:
            inputs.append(tf.constant(checked_sizes(images, sizes, self.model.geometry.stride)))
        detections, proposals = self._detect(*inputs)
        return DetectionBatch(*(part.numpy() for part in (*detections, proposals.boxes)))
