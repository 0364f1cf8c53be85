"""Pools RoIs by bilinear crop and resize."""

import tensorflow as tf

from frcnn.ops.boxes import Side, last_index
from frcnn.ops.dimensions import cells_of, dimension

# Rounding may move the last sample of a box at the border slightly outside the map, where
# crop_and_resize reads 0 instead of the border's value. Without this limit, 5 % of such boxes were affected.
LARGEST_COORDINATE = 1.0 - 1e-6


def crop_and_resize(
    features: tf.Tensor,
    rois: tf.Tensor,
    height: Side,
    width: Side,
    size: int,
    stride: int = 16,
    *,
    by_stride: bool = False,
) -> tf.Tensor:
    """Crops one patch of the feature map per RoI.

    Sample i of a side is at `y1 + i * (y2 - y1) / (size - 1)`. Image row 0 maps to feature map row 0, and
    image row `height - 1` to the last row of the map that shows the image, so the amount of padding has
    no effect. With `by_stride`, image row y maps to row `y / stride`, but to no later row than the last.

    Args:
        features: Feature maps, `[B, h, w, D]`.
        rois: RoIs within the image, `yxyx` in pixels, `[B, R, 4]`; all-zero boxes crop the top left cell.
        height: Height of the images, px.
        width: Width of the images, px.
        size: Cells per side of a crop.
        stride: Pixels per cell; used only with `by_stride` or if images have their own sizes.
        by_stride: Whether positions on the map are those in the image divided by the stride.

    Returns:
        Crops, float32 `[B * R, size, size, D]`. No gradient flows into `rois`.
    """
    if by_stride:
        limit = last_index(_own_cells(features, height, width, stride) * 2, rank=3) * stride
    else:
        limit = last_index([height, width] * 2, rank=3)
    # Images of one pixel and maps of one row are valid: there, 0 / 0 counts as 0.
    boxes = tf.minimum(tf.math.divide_no_nan(tf.stop_gradient(rois), limit), LARGEST_COORDINATE)
    if not isinstance(height, int):
        boxes *= _share_of_map(features, height, width, stride)
    owner = tf.repeat(tf.range(dimension(rois, 0)), rois.shape[1])
    return tf.image.crop_and_resize(
        tf.cast(features, tf.float32), tf.reshape(boxes, [-1, 4]), owner, [size, size]
    )


def _share_of_map(features: tf.Tensor, height: Side, width: Side, stride: int) -> tf.Tensor:
    """Returns each image's extent relative to the map, in steps between cells, `[B, 1, 4]`."""
    own = _own_cells(features, height, width, stride)
    steps = tf.cast(tf.tile(tf.shape(features)[1:3] - 1, [2]), tf.float32)
    return tf.math.divide_no_nan(last_index(own * 2, rank=3), steps)


def _own_cells(features: tf.Tensor, height: Side, width: Side, stride: int) -> list[Side]:
    """Returns the rows and columns of the map that show each image."""
    cells = [dimension(features, axis) for axis in (1, 2)]
    if isinstance(height, int):
        return cells
    return [
        tf.minimum(cells_of(side, stride), count) for side, count in zip((height, width), cells, strict=True)
    ]
