"""Random changes of colour, as one affine map of the three channels."""

import dataclasses
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import ColorAugmentation

FULL = 255.0
# RGB -> YIQ (NTSC, SMPTE 170M): brightness, and a plane in which the angle is the hue, the length the
# saturation. Grey has no part in that plane, so grey stays grey.
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)


@dataclasses.dataclass(frozen=True)
class ColourSettings:
    """How far colours may change; 0 turns a field off. Pixels count from 0 to 1 here.

    Attributes:
        shift_stddev: Standard deviation of what is added to all channels; at most twice that.
        hue_max: Largest turn of the hue, degrees.
        saturation_max: Saturation is multiplied by 1 - this to 1 + this.
        contrast_max: Contrast is multiplied by 1 - this to 1 + this.
        contrast_center: The value that a change of contrast leaves as it is.
    """

    shift_stddev: float = 0.0
    hue_max: float = 0.0
    saturation_max: float = 0.0
    contrast_max: float = 0.0
    contrast_center: float = 0.5

    @classmethod
    def from_config(cls, config: "ColorAugmentation") -> "ColourSettings":
        """The settings in a checked spec."""
        return cls(
            config.color_shift_stddev,
            config.hue_rotation_max,
            config.saturation_shift_max,
            config.contrast_scale_max,
            config.contrast_center,
        )

    @property
    def active(self) -> bool:
        """Whether any colour ever changes."""
        return any((self.shift_stddev, self.hue_max, self.saturation_max, self.contrast_max))


class ColourDraw(NamedTuple):
    """One random change: scalars, float32. `hue` is in radians, `saturation` and `contrast` are factors."""

    shift: tf.Tensor
    hue: tf.Tensor
    saturation: tf.Tensor
    contrast: tf.Tensor


def draw_colour(settings: ColourSettings, seed: tf.Tensor) -> ColourDraw:
    """A random change within the settings; equal seeds (int64 [2]) give equal changes."""
    normal_seed, uniform_seed = tf.unstack(tf.random.split(seed, 2))
    # Cut at two standard deviations, so that a maximum is kept when the deviation is half of it.
    normal = tf.random.stateless_truncated_normal([3], normal_seed)
    uniform = tf.random.stateless_uniform([], uniform_seed, -1.0, 1.0)
    return ColourDraw(
        shift=normal[0] * settings.shift_stddev,
        hue=normal[1] * math.radians(settings.hue_max) / 2,
        saturation=1.0 + uniform * settings.saturation_max,
        contrast=1.0 + normal[2] * settings.contrast_max / 2,
    )


def change_colour(image: tf.Tensor, draw: ColourDraw, contrast_center: float) -> tf.Tensor:
    """Changes contrast, then hue and saturation, then brightness of `image` [H, W, 3] RGB 0..255.

    The result is clipped to 0..255. The order is the reference's: contrast does not scale the shift.
    """
    cos, sin = tf.cos(draw.hue) * draw.saturation, tf.sin(draw.hue) * draw.saturation
    zero, one = tf.zeros([]), tf.ones([])
    turn = tf.reshape(tf.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos]), [3, 3])
    matrix = tf.constant(np.linalg.inv(YIQ)) @ turn @ tf.constant(YIQ) * draw.contrast
    # Turning colors about gray leaves what is added to all channels alike as it is.
    offset = (1.0 - draw.contrast) * contrast_center + draw.shift
    changed = tf.reshape(tf.reshape(image, [-1, 3]) @ tf.transpose(matrix), tf.shape(image)) + offset * FULL
    return tf.ensure_shape(tf.clip_by_value(changed, 0.0, FULL), image.shape)
