"""Augmentation: a training image and its boxes change together. See docs/augmentation.md.

H, W: height and width of the picture, px, Python numbers or tensors. Boxes are yxyx px, pixel edges at
whole numbers.
"""

import dataclasses
import math
from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from frcnn.data.transforms import warp
from frcnn.data.transforms.colour import ColourSettings, change_colour, draw_colour
from frcnn.data.transforms.objects import Objects
from frcnn.data.transforms.warp import Side

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment, Preprocessing, SpatialAugmentation


@dataclasses.dataclass(frozen=True)
class SpatialSettings:
    """How far a picture may move; the defaults leave it where it is.

    Attributes:
        hflip: Probability of swapping left and right.
        vflip: Probability of swapping top and bottom.
        translate_x: Largest shift to either side, px.
        translate_y: Largest shift up or down, px.
        zoom_min: Smallest zoom ratio. Content is scaled by 1 / ratio: below 1 it grows.
        zoom_max: Largest zoom ratio.
        rotate_max: Largest turn to either side, radians.
        rotate_probability: Probability of turning at all.
    """

    hflip: float = 0.0
    vflip: float = 0.0
    translate_x: int = 0
    translate_y: int = 0
    zoom_min: float = 1.0
    zoom_max: float = 1.0
    rotate_max: float = 0.0
    rotate_probability: float = 1.0

    @classmethod
    def from_config(cls, config: "SpatialAugmentation") -> "SpatialSettings":
        """The settings in a checked spec; 0 where the reference takes it for unset."""
        return cls(
            hflip=config.hflip_probability,
            vflip=config.vflip_probability,
            translate_x=int(config.translate_max_x),
            translate_y=int(config.translate_max_y),
            zoom_min=config.zoom_min or 1.0,
            zoom_max=config.zoom_max or 1.0,
            rotate_max=math.radians(config.rotate_rad_max),  # in degrees, despite its name
            rotate_probability=config.rotate_probability or 1.0,
        )

    @property
    def only_flips(self) -> bool:
        """Whether pixels only change places, so that nothing needs to be interpolated."""
        moves = self.translate_x or self.translate_y or self.rotate_max
        return not moves and self.zoom_min == self.zoom_max == 1.0


class SpatialDraw(NamedTuple):
    """One random movement. Scalars; shift and offset are px."""

    hflip: tf.Tensor
    vflip: tf.Tensor
    shift_x: tf.Tensor
    shift_y: tf.Tensor
    ratio: tf.Tensor
    offset_x: tf.Tensor
    offset_y: tf.Tensor
    angle: tf.Tensor


def draw_spatial(settings: SpatialSettings, seed: tf.Tensor, height: Side, width: Side) -> SpatialDraw:
    """A random movement within the settings; equal seeds (int64 [2]) give equal movements."""
    height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    chance = tf.unstack(tf.random.stateless_uniform([9], seed))
    ratio = settings.zoom_min + chance[4] * (settings.zoom_max - settings.zoom_min)
    angle = (2.0 * chance[7] - 1.0) * settings.rotate_max
    return SpatialDraw(
        hflip=chance[0] < settings.hflip,
        vflip=chance[1] < settings.vflip,
        shift_x=tf.floor(chance[2] * (2 * settings.translate_x + 1)) - settings.translate_x,
        shift_y=tf.floor(chance[3] * (2 * settings.translate_y + 1)) - settings.translate_y,
        ratio=ratio,
        # Smaller content lies anywhere within the picture, larger content covers all of it.
        offset_x=chance[5] * (width - width / ratio),
        offset_y=chance[6] * (height - height / ratio),
        angle=tf.where(chance[8] < settings.rotate_probability, angle, 0.0),
    )


def spatial_map(draw: SpatialDraw, height: Side, width: Side) -> tf.Tensor:
    """The map of one movement: flip, translate, zoom, rotate (about the centre), in this order."""
    height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    return warp.composed(
        [
            warp.mirroring(draw.hflip, draw.vflip, height, width),
            warp.translation(draw.shift_x, draw.shift_y),
            warp.scaling(1.0 / draw.ratio, 1.0 / draw.ratio),
            warp.translation(draw.offset_x, draw.offset_y),
            warp.rotation(draw.angle, width / 2, height / 2),
        ]
    )


def window_map(config: "Preprocessing", height: int, width: int) -> tf.Tensor | None:
    """Scale and crop of a spec's `preprocessing` as a map onto [H, W]; None if they change nothing.

    The crop window, (0, 0, W, H) if unset, is what fills the network input.
    """
    scale_x, scale_y = config.scale_width or 1.0, config.scale_height or 1.0
    left, top = config.crop_left, config.crop_top
    right = config.crop_right if config.crop_right > left else left + width
    bottom = config.crop_bottom if config.crop_bottom > top else top + height
    if (scale_x, scale_y) == (1.0, 1.0) and (left, top, right, bottom) == (0, 0, width, height):
        return None
    return warp.composed(
        [
            warp.scaling(scale_x, scale_y),
            warp.translation(-left, -top),
            warp.scaling(width / (right - left), height / (bottom - top)),
        ]
    )


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Everything that may happen to a training image once it has its size.

    Attributes:
        spatial: How far it may move.
        colour: How far its colours may change (three channels only).
        min_height: Boxes of which less than this is left, px, are dropped.
        min_width: The same for their width.
    """

    spatial: SpatialSettings = dataclasses.field(default_factory=SpatialSettings)
    colour: ColourSettings = dataclasses.field(default_factory=ColourSettings)
    min_height: float = 1.0
    min_width: float = 1.0

    @classmethod
    def from_spec(cls, spec: "Experiment") -> "Augmentation":
        """What a checked spec asks for, whether or not it is switched on."""
        config = spec.augmentation_config
        return cls(
            SpatialSettings.from_config(config.spatial_augmentation),
            ColourSettings.from_config(config.color_augmentation),
            max(1.0, config.preprocessing.min_bbox_height),
            max(1.0, config.preprocessing.min_bbox_width),
        )

    def __call__(
        self,
        image: tf.Tensor,
        objects: Objects,
        seed: tf.Tensor,
        height: Side,
        width: Side,
        window: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, Objects]:
        """A randomly changed image and its objects; equal seeds give equal results.

        Args:
            image: float32 [h, w, C], 0..255, RGB or grey; h, w = H, W if there is no window.
            objects: Boxes in px of `image`.
            seed: int64 [2].
            height: H.
            width: W.
            window: A map that comes before all others, see `window_map`; of an image of [H, W] if None.

        Returns:
            Image float32 [H, W, C], 0..255; objects clipped to it, those that are too small left out.
        """
        spatial_seed, colour_seed = tf.unstack(tf.random.split(seed, 2))
        draw = draw_spatial(self.spatial, spatial_seed, height, width)
        matrix = spatial_map(draw, height, width)
        if window is not None:
            matrix = matrix @ window
        if window is None and self.spatial.only_flips:
            image = _flipped(image, draw)
        else:
            image = warp.warp_image(image, matrix, height, width)
        if self.colour.active and image.shape[-1] == 3:
            change = draw_colour(self.colour, colour_seed)
            image = change_colour(image, change, self.colour.contrast_center)
        moved = objects._replace(boxes=warp.warp_boxes(objects.boxes, matrix))
        return image, warp.clip_objects(moved, height, width, self.min_height, self.min_width)


def _flipped(image: tf.Tensor, draw: SpatialDraw) -> tf.Tensor:
    image = tf.cond(draw.hflip, lambda: tf.reverse(image, axis=[1]), lambda: image)
    return tf.cond(draw.vflip, lambda: tf.reverse(image, axis=[0]), lambda: image)
