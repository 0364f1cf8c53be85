"""Wraps a trained model as a function from images to detections."""

import numpy as np
import tensorflow as tf

from frcnn.model.detector import DetectionBatch, checked_sizes
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import dft_layers
from frcnn.model.settings import DetectionSettings


class KerasDetector:
    """Detector that uses the model's weights as of the last `refresh`.

    Compiled once per batch size; with dynamic shape, once for all batch and image sizes.
    """

    def __init__(self, model: FasterRCNN, settings: DetectionSettings) -> None:
        """Creates a detector.

        Args:
            model: Trained model.
            settings: Settings of proposals and final NMS, for evaluation or inference.
        """
        self.model = model
        self.settings = settings
        self._released = False
        self.refresh()
        if model.geometry.dynamic:
            signature = [
                tf.TensorSpec([None, None, None, model.geometry.channels]),
                tf.TensorSpec([None, 2], tf.int32),
            ]
            self._detect = tf.function(
                lambda images, sizes: model.detect(images, settings, sizes),
                input_signature=signature,
                autograph=False,
            )
        else:
            self._detect = tf.function(lambda images: model.detect(images, settings), autograph=False)

    def refresh(self) -> None:
        """Updates the stored transformed kernels; call it after the weights changed."""
        self._released = False
        for layer in dft_layers(self.model.roi_head):
            layer.cache_kernel(layer.input.shape[1])

    def release(self) -> None:
        """Frees the transformed kernels, which are large, until the next `refresh` or call."""
        self._released = True
        for layer in dft_layers(self.model.roi_head):
            layer.release_kernel()

    @property
    def traces(self) -> int:
        """Number of times that the model has been compiled."""
        return int(self._detect.experimental_get_tracing_count())

    def __call__(self, images: np.ndarray, sizes: np.ndarray | None = None) -> DetectionBatch:
        """Detects the objects in preprocessed images.

        Args:
            images: Images, float32 `[B, H, W, channels]`.
            sizes: Heights and widths without padding, px, int `[B, 2]`; used only with dynamic shape. None
                without padding.

        Returns:
            The detections.
        """
        if self._released:
            self.refresh()
        inputs = [tf.convert_to_tensor(images, tf.float32)]
        if self.model.geometry.dynamic:
            inputs.append(tf.constant(checked_sizes(images, sizes, self.model.geometry.stride)))
        # One trace per model and batch size is intended; a call of `_detect` itself would warn about it.
        detections, proposals = self._detect.get_concrete_function(*inputs)(*inputs)
        return DetectionBatch(*(part.numpy() for part in (*detections, proposals.boxes)))
