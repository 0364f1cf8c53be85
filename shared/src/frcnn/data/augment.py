"""Augmentation: image and boxes change together. Boxes are yxyx px, pixel edges at whole numbers."""

import dataclasses
from typing import TYPE_CHECKING

import tensorflow as tf

from frcnn.data.objects import Objects

if TYPE_CHECKING:
    from frcnn.spec.config import Experiment


@dataclasses.dataclass(frozen=True)
class AugmentSettings:
    """What may happen to a training image; 0 turns a field off."""

    hflip_probability: float = 0.0
    vflip_probability: float = 0.0

    @classmethod
    def from_spec(cls, spec: "Experiment") -> "AugmentSettings":
        """The settings of a checked spec."""
        spatial = spec.augmentation_config.spatial_augmentation
        return cls(spatial.hflip_probability, spatial.vflip_probability)


def augment(
    image: tf.Tensor, objects: Objects, seed: tf.Tensor, settings: AugmentSettings
) -> tuple[tf.Tensor, Objects]:
    """A randomly changed image [H, W, C] float32 0..255 and its objects; equal seeds give equal results.

    `seed` is int64 [2].
    """
    height, width = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
    chance = tf.random.stateless_uniform([2], seed)
    y1, x1, y2, x2 = tf.unstack(objects.boxes, axis=1)
    flip_x = chance[0] < settings.hflip_probability
    image = tf.cond(flip_x, lambda: image[:, ::-1], lambda: image)
    x1, x2 = tf.where(flip_x, width - x2, x1), tf.where(flip_x, width - x1, x2)
    flip_y = chance[1] < settings.vflip_probability
    image = tf.cond(flip_y, lambda: image[::-1], lambda: image)
    y1, y2 = tf.where(flip_y, height - y2, y1), tf.where(flip_y, height - y1, y2)
    return image, objects._replace(boxes=tf.stack([y1, x1, y2, x2], axis=1))
