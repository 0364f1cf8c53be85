"""Augments training images together with their boxes. See docs/augmentation.md.

H and W are height and width of the image in pixels, numbers or tensors. Boxes are `yxyx` in pixels; pixel
edges are at integer coordinates.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from frcnn.data.settings import ColorSettings, CropSettings, DataSettings, SpatialSettings
from frcnn.data.transforms import warp
from frcnn.data.transforms.color import change_color, draw_color
from frcnn.data.transforms.objects import Objects
from frcnn.data.transforms.warp import Side


class SpatialParams(NamedTuple):
    """Sampled parameters of one spatial change, scalar tensors; shifts and offsets in pixels."""

    hflip: tf.Tensor
    vflip: tf.Tensor
    shift_x: tf.Tensor
    shift_y: tf.Tensor
    ratio: tf.Tensor
    offset_x: tf.Tensor
    offset_y: tf.Tensor
    angle: tf.Tensor


def sample_spatial(settings: SpatialSettings, seed: tf.Tensor, height: Side, width: Side) -> SpatialParams:
    """Samples a spatial change within the settings; equal seeds give equal results.

    Args:
        settings: Limits of the change.
        seed: Random seed, int64 `[2]`.
        height: Height of the image, px.
        width: Width of the image, px.

    Returns:
        The sampled parameters.
    """
    height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    chance = tf.unstack(tf.random.stateless_uniform([9], seed))
    ratio = settings.zoom_min + chance[4] * (settings.zoom_max - settings.zoom_min)
    angle = (2.0 * chance[7] - 1.0) * settings.rotate_max
    return SpatialParams(
        hflip=chance[0] < settings.hflip,
        vflip=chance[1] < settings.vflip,
        shift_x=tf.floor(chance[2] * (2 * settings.translate_x + 1)) - settings.translate_x,
        shift_y=tf.floor(chance[3] * (2 * settings.translate_y + 1)) - settings.translate_y,
        ratio=ratio,
        # Reduced content is placed anywhere within the image; magnified content covers the whole image.
        offset_x=chance[5] * (width - width / ratio),
        offset_y=chance[6] * (height - height / ratio),
        angle=tf.where(chance[8] < settings.rotate_probability, angle, 0.0),
    )


def spatial_transform(draw: SpatialParams, height: Side, width: Side) -> tf.Tensor:
    """Returns the affine map of a spatial change.

    The order is flip, translate, zoom, rotate about the center.

    Args:
        draw: Parameters from `sample_spatial`.
        height: Height of the image, px.
        width: Width of the image, px.

    Returns:
        Affine map, float32 `[3, 3]`; see `warp`.
    """
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


def crop_transform(crop: CropSettings, height: int, width: int) -> tf.Tensor | None:
    """Returns scaling and cropping as an affine map.

    The crop window, (0, 0, W, H) if unset, fills the network input.

    Args:
        crop: Scaling and crop window.
        height: Height of the network input, px.
        width: Width of the network input, px.

    Returns:
        Affine map, float32 `[3, 3]`, or `None` if scaling and cropping change nothing.
    """
    scale_x, scale_y = crop.scale_width or 1.0, crop.scale_height or 1.0
    left, top = crop.left, crop.top
    right = crop.right if crop.right > left else left + width
    bottom = crop.bottom if crop.bottom > top else top + height
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
    """Random changes of a training image after it was resized.

    Attributes:
        spatial: Limits of spatial changes.
        color: Limits of color changes (images of three channels only).
        min_height: Minimum height of a clipped box, px; smaller ones are dropped.
        min_width: Minimum width of a clipped box, px; smaller ones are dropped.
    """

    spatial: SpatialSettings = dataclasses.field(default_factory=SpatialSettings)
    color: ColorSettings = dataclasses.field(default_factory=ColorSettings)
    min_height: float = 1.0
    min_width: float = 1.0

    @classmethod
    def of(cls, settings: DataSettings) -> "Augmentation":
        """Creates the augmentation of a training set, whether or not the settings enable it."""
        return cls(settings.spatial, settings.color, settings.min_box_height, settings.min_box_width)

    def __call__(
        self,
        image: tf.Tensor,
        objects: Objects,
        seed: tf.Tensor,
        height: Side,
        width: Side,
        window: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, Objects]:
        """Changes an image and its objects at random; equal seeds give equal results.

        Args:
            image: Image, float32 `[h, w, C]`, 0..255, RGB or gray; h, w = H, W without a window.
            objects: Objects with boxes in pixels of `image`.
            seed: Random seed, int64 `[2]`.
            height: Height of the result, H.
            width: Width of the result, W.
            window: Map to apply first, see `crop_transform`; `None` if the image is `[H, W]` already.

        Returns:
            Image, float32 `[H, W, C]`, 0..255, and its objects, clipped and without those that are too small.
        """
        spatial_seed, color_seed = tf.unstack(tf.random.split(seed, 2))
        draw = sample_spatial(self.spatial, spatial_seed, height, width)
        matrix = spatial_transform(draw, height, width)
        if window is not None:
            matrix = matrix @ window
        if window is None and self.spatial.only_flips:
            image = _flipped(image, draw)
        else:
            image = warp.warp_image(image, matrix, height, width)
        if self.color.active and image.shape[-1] == 3:
            change = draw_color(self.color, color_seed)
            image = change_color(image, change, self.color.contrast_center)
        moved = objects._replace(boxes=warp.warp_boxes(objects.boxes, matrix))
        return image, warp.clip_objects(moved, height, width, self.min_height, self.min_width)


def _flipped(image: tf.Tensor, draw: SpatialParams) -> tf.Tensor:
    image = tf.cond(draw.hflip, lambda: tf.reverse(image, axis=[1]), lambda: image)
    return tf.cond(draw.vflip, lambda: tf.reverse(image, axis=[0]), lambda: image)
