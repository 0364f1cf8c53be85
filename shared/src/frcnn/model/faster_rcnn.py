"""Detector: two functional networks, joined by box arithmetic.

`features` maps the image to the feature map and the RPN's outputs; `roi_head` maps pooled RoIs to class
probabilities and box deltas. Proposals, target sampling and RoI pooling run between them in the compiled
step. Source: Ren et al. 2015, Faster R-CNN, with the C4 head of He et al. 2015.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from frcnn.model.detections import Detections, generate_detections
from frcnn.model.layers import statistics_momentum
from frcnn.model.proposals import Proposals, generate_proposals, without_padding
from frcnn.model.regularizer import regularize
from frcnn.model.settings import DetectionSettings, Geometry, ProposalSettings, TrainingSettings
from frcnn.model.statistics import STATISTICS_PART, WEIGHTS_PART, following_momentum
from frcnn.model.training_losses import detector_losses
from frcnn.model.weight_averages import WeightAverages
from frcnn.ops.anchor_shapes import anchor_grid
from frcnn.ops.anchors import anchors_of_map
from frcnn.ops.boxes import Side
from frcnn.ops.roi_pool import crop_and_resize

LOSS_NAMES = ("rpn_out_class_loss", "rpn_out_regress_loss", "dense_class_td_loss", "dense_regress_td_loss")


class RpnOutput(NamedTuple):
    """Outputs of the first stage.

    Attributes:
        features: Feature map, `[B, h, w, D]`.
        scores: Objectness in 0..1, float32 `[B, h, w, A]`.
        codes: Box deltas, float32 `[B, h, w, 4A]`.
    """

    features: tf.Tensor
    scores: tf.Tensor
    codes: tf.Tensor


class ImageSize(NamedTuple):
    """Height and width of the images without padding, px; ints, or int32 `[B]` if they differ."""

    height: Side
    width: Side


@keras.saving.register_keras_serializable("frcnn")
class FasterRCNN(keras.Model):
    """Two-stage detector. Boxes are `yxyx` in pixels of the network input."""

    def __init__(
        self, features: keras.Model, roi_head: keras.Model, geometry: Geometry, **options: Any
    ) -> None:
        """Joins two networks from `frcnn.model.build`, pruning or a file.

        Args:
            features: Network from images `[B, H, W, channels]` to feature map, RPN scores and RPN box deltas.
            roi_head: Network from crops `[N, S, S, D]` to class probabilities `[N, C + 1]` and box deltas
                `[N, 4C]`.
            geometry: Sizes, anchors and classes that the networks were built for.
            options: Arguments of `keras.Model`.
        """
        super().__init__(**options)
        self.features = features
        self.roi_head = roi_head
        self.geometry = geometry
        self.training_settings: TrainingSettings | None = None
        # In distributed training, the function that averages the gradients over all ranks.
        self.average_gradients: Callable[[list[tf.Tensor]], list[tf.Tensor]] | None = None
        # Averages of the weights if the spec enables them, see `frcnn.training.averaging`.
        self.weight_averages: WeightAverages | None = None
        # Whether layers are distributed over several devices, see `frcnn.training.model_parallel`.
        self.spread = False
        self.loss_means = [keras.metrics.Mean(name=name) for name in ("loss", *LOSS_NAMES)]
        self.norm_mean = keras.metrics.Mean(name="gradient_norm")
        self.built = True

    @functools.cached_property
    def anchors(self) -> np.ndarray:
        """All anchors of a network input of static shape, `yxyx` in pixels, float32 `[N, 4]`."""
        rows, columns = self.features.outputs[0].shape[1:3]
        return anchor_grid(rows, columns, self.geometry.scales, self.geometry.ratios, self.geometry.stride)

    def anchors_for(self, rpn: RpnOutput) -> np.ndarray | tf.Tensor:
        """Returns all anchors of the RPN's feature map, `yxyx` in pixels, float32 `[N, 4]`."""
        geometry = self.geometry
        if not geometry.dynamic:
            return self.anchors
        rows, columns = tf.unstack(tf.shape(rpn.scores)[1:3])
        return anchors_of_map(rows, columns, geometry.scales, geometry.ratios, geometry.stride)

    def image_size(self, images: tf.Tensor, sizes: tf.Tensor | None) -> ImageSize:
        """Returns height and width of the images without padding.

        Args:
            images: Images, `[B, H, W, channels]`.
            sizes: Heights and widths without padding, px, int32 `[B, 2]`; None without padding.

        Returns:
            Height and width, px.
        """
        height, width = self.geometry.height, self.geometry.width
        if height is not None and width is not None:
            return ImageSize(height, width)
        if sizes is None:
            shape = tf.shape(images)
            sizes = tf.broadcast_to(shape[1:3], [shape[0], 2])
        return ImageSize(*tf.unstack(sizes, axis=-1))

    def call(self, images: tf.Tensor, training: bool = False) -> RpnOutput:
        """Runs the first stage on images `[B, H, W, channels]`."""
        features, scores, codes = self.features(images, training=training)
        return RpnOutput(features, tf.cast(scores, tf.float32), tf.cast(codes, tf.float32))

    def propose(self, rpn: RpnOutput, size: ImageSize, settings: ProposalSettings) -> Proposals:
        """Computes proposals from the RPN's outputs.

        Args:
            rpn: Outputs of the first stage.
            size: Height and width of the images.
            settings: Limits of the proposals.

        Returns:
            The proposals.
        """
        scores = rpn.scores
        if self.geometry.dynamic:
            scores = without_padding(scores, *size, self.geometry.stride)
        return generate_proposals(
            scores,
            rpn.codes,
            self.anchors_for(rpn),
            height=size.height,
            width=size.width,
            pre_nms=settings.pre_nms,
            post_nms=settings.post_nms,
            iou_threshold=settings.iou_threshold,
        )

    def classify(
        self, features: tf.Tensor, rois: tf.Tensor, size: ImageSize, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Classifies RoIs and refines their boxes.

        Args:
            features: Feature map, `[B, h, w, D]`.
            rois: RoIs, `yxyx` in pixels, `[B, R, 4]`.
            size: Height and width of the images.
            training: Whether layers run in training mode.

        Returns:
            Tuple of class probabilities, float32 `[B, R, C + 1]`, and box deltas, float32 `[B, R, C, 4]`.
        """
        geometry = self.geometry
        crops = crop_and_resize(
            features, rois, *size, geometry.crop_size, geometry.stride, by_stride=geometry.positions_by_stride
        )
        probabilities, codes = self.roi_head(crops, training=training)
        count, classes = rois.shape[1], len(geometry.class_names)
        probabilities = tf.reshape(tf.cast(probabilities, tf.float32), [-1, count, classes + 1])
        return probabilities, tf.reshape(tf.cast(codes, tf.float32), [-1, count, classes, 4])

    def detect(
        self, images: tf.Tensor, settings: DetectionSettings, sizes: tf.Tensor | None = None
    ) -> tuple[Detections, Proposals]:
        """Detects the objects in images.

        Args:
            images: Images, `[B, H, W, channels]`.
            settings: Settings of proposals and final NMS.
            sizes: Heights and widths without padding, px, int32 `[B, 2]`; used only with dynamic shape.

        Returns:
            Tuple of the detections and the proposals that they were computed from.
        """
        size = self.image_size(images, sizes)
        rpn = self(images, training=False)
        proposals = self.propose(rpn, size, settings.proposals)
        probabilities, codes = self.classify(rpn.features, proposals.boxes, size)
        detections = generate_detections(
            proposals.boxes,
            proposals.valid,
            probabilities,
            codes,
            height=size.height,
            width=size.width,
            score_threshold=settings.score_threshold,
            iou_threshold=settings.iou_threshold,
            max_detections=settings.max_detections,
            code_weights=self.geometry.code_weights,
        )
        return detections, proposals

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Runs one optimizer step on a batch of `frcnn.data.input.dataset`.

        Args:
            batch: Images, boxes, classes, validity and, with dynamic shape, sizes.

        Returns:
            Running means of the losses and of `gradient_norm`, the global norm of all gradients.
        """
        variables = self.trainable_variables
        step = tf.identity(self.optimizer.iterations.value)
        momentum = following_momentum(step, STATISTICS_PART)
        with tf.GradientTape() as tape, statistics_momentum(momentum):
            parts = self.compute_losses(batch)
            total = tf.add_n(parts)
            scaled = self.optimizer.scale_loss(total)
        values = [variable.value for variable in variables]
        if self.spread:  # the tape would compute all gradients on the same device
            gradients = tf.compat.v1.gradients(scaled, values, colocate_gradients_with_ops=True)
        else:
            gradients = tape.gradient(scaled, values)
        if self.average_gradients is not None:
            gradients = self.average_gradients(gradients)
        layers = (*self.features.layers, *self.roi_head.layers)
        scale = self.optimizer.scale_loss
        gradients, penalty = regularize(gradients, variables, layers, self._training(), scale)
        self._measure(gradients)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        if self.weight_averages is not None:
            self.weight_averages.update(following_momentum(step, WEIGHTS_PART))
        for mean, value in zip(self.loss_means, (total + penalty, *parts), strict=True):
            mean.update_state(value)
        return {mean.name: mean.result() for mean in self.metrics}

    def compute_losses(self, batch: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        """Computes the four losses times their lambdas, in the order of `LOSS_NAMES`.

        Args:
            batch: Batch as in `train_step`.

        Returns:
            List of four scalars.
        """
        return detector_losses(self, batch, self._training(), self._seed())

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration of both networks and the geometry."""
        return {
            "name": self.name,
            "features": keras.saving.serialize_keras_object(self.features),
            "roi_head": keras.saving.serialize_keras_object(self.roi_head),
            "geometry": self.geometry.to_config(),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "FasterRCNN":
        """Creates the detector that `get_config` described, with fresh weights.

        Args:
            config: Configuration.
            custom_objects: Classes for Keras's deserialization by name.

        Returns:
            The detector.
        """
        parts = {
            key: keras.saving.deserialize_keras_object(config[key], custom_objects)
            for key in ("features", "roi_head")
        }
        return cls(geometry=Geometry.from_config(config["geometry"]), name=config["name"], **parts)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Running means of the losses and of the gradient norm; `fit` resets them at each epoch."""
        return [*self.loss_means, self.norm_mean]

    def _training(self) -> TrainingSettings:
        if self.training_settings is None:
            raise RuntimeError("set training_settings before training")
        return self.training_settings

    def _seed(self) -> tf.Tensor:
        # Every seed contains the step, so a resumed run draws the same samples as an uninterrupted one.
        return tf.stack(
            [tf.constant(self._training().seed, tf.int32), tf.cast(self.optimizer.iterations, tf.int32)]
        )

    def _measure(self, gradients: list[tf.Tensor]) -> None:
        """Updates the mean gradient norm, except after an overflow, when the step is skipped."""
        present = [gradient for gradient in gradients if gradient is not None]
        norm = tf.linalg.global_norm(present) / self.optimizer.scale_loss(tf.constant(1.0))
        finite = tf.math.is_finite(norm)
        self.norm_mean.update_state(tf.where(finite, norm, 0.0), sample_weight=tf.cast(finite, tf.float32))
