"""Random color changes as one affine map of the three channels."""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from frcnn.data.settings import ColorSettings

FULL = 255.0
# RGB -> YIQ (NTSC, SMPTE 170M): brightness, and a plane in which the angle is the hue and the length the
# saturation. Gray is the origin of that plane, so gray stays gray.
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)


class ColorDraw(NamedTuple):
    """Sampled parameters of one color change, float32 scalars.

    Attributes:
        shift: Value to add to all channels, as a fraction of full scale.
        hue: Rotation of the hue, radians.
        saturation: Factor of the saturation.
        contrast: Factor of the contrast.
    """

    shift: tf.Tensor
    hue: tf.Tensor
    saturation: tf.Tensor
    contrast: tf.Tensor


def draw_color(settings: ColorSettings, seed: tf.Tensor) -> ColorDraw:
    """Samples a color change within the settings; equal seeds give equal results.

    Args:
        settings: Limits of the change.
        seed: Random seed, int64 `[2]`.

    Returns:
        The sampled parameters.
    """
    normal_seed, uniform_seed = tf.unstack(tf.random.split(seed, 2))
    # Truncated at two standard deviations, so half of a maximum as deviation never exceeds the maximum.
    normal = tf.random.stateless_truncated_normal([3], normal_seed)
    uniform = tf.random.stateless_uniform([], uniform_seed, -1.0, 1.0)
    return ColorDraw(
        shift=normal[0] * settings.shift_stddev,
        hue=normal[1] * math.radians(settings.hue_max) / 2,
        saturation=1.0 + uniform * settings.saturation_max,
        contrast=1.0 + normal[2] * settings.contrast_max / 2,
    )


def change_color(image: tf.Tensor, draw: ColorDraw, contrast_center: float) -> tf.Tensor:
    """Changes contrast, then hue and saturation, then brightness of an image.

    The order is TAO's: contrast does not scale the shift.

    Args:
        image: Image, `[H, W, 3]`, RGB, 0..255.
        draw: Parameters from `draw_color`.
        contrast_center: Pixel value in 0..1 that contrast changes leave unchanged.

    Returns:
        Changed image, clipped to 0..255.
    """
    cos, sin = tf.cos(draw.hue) * draw.saturation, tf.sin(draw.hue) * draw.saturation
    zero, one = tf.zeros([]), tf.ones([])
    turn = tf.reshape(tf.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos]), [3, 3])
    matrix = tf.constant(np.linalg.inv(YIQ)) @ turn @ tf.constant(YIQ) * draw.contrast
    # Hue rotation leaves gray unchanged, and the offset is gray: equal in all channels.
    offset = (1.0 - draw.contrast) * contrast_center + draw.shift
    changed = tf.reshape(tf.reshape(image, [-1, 3]) @ tf.transpose(matrix), tf.shape(image)) + offset * FULL
    return tf.ensure_shape(tf.clip_by_value(changed, 0.0, FULL), image.shape)
