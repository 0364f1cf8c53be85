"""RoI pooling by bilinear crop and resize."""

import tensorflow as tf

from frcnn.ops.boxes import Side, last_index
from frcnn.ops.dimensions import cells_of, dimension

# Rounding may put the last sample of a box that touches the border a hair outside the map, where
# crop_and_resize reads 0 instead of the border's value. Measured: 5 % of such boxes without this.
LARGEST_COORDINATE = 1.0 - 1e-6


def crop_and_resize(
    features: tf.Tensor, rois: tf.Tensor, height: Side, width: Side, size: int, stride: int = 16
) -> tf.Tensor:
    """Crops of the feature map, one a RoI.

    Sample i of a side lies at `y1 + i * (y2 - y1) / (size - 1)`, with image row 0 on map row 0 and
    image row `height - 1` on the last row of the map that shows the image: how much padding lies beyond
    makes no difference.

    Args:
        features: [B, h, w, D].
        rois: [B, R, 4] `yxyx` pixels within the image; zero boxes crop the top left cell.
        height: Of the images, px.
        width: Of the images, px.
        size: Cells of a crop's side.
        stride: Pixels a cell; matters where images have their own sizes.

    Returns:
        float32 [B * R, size, size, D]. No gradient flows into `rois`.
    """
    limit = last_index([height, width] * 2, rank=3)
    if isinstance(height, int):
        boxes = tf.minimum(tf.stop_gradient(rois) / limit, LARGEST_COORDINATE)
    else:
        # An image may be one pixel high, a map one row: 0 / 0 counts as 0.
        boxes = tf.minimum(tf.math.divide_no_nan(tf.stop_gradient(rois), limit), LARGEST_COORDINATE)
        boxes *= _share_of_map(features, height, width, stride)
    owner = tf.repeat(tf.range(dimension(rois, 0)), rois.shape[1])
    return tf.image.crop_and_resize(
        tf.cast(features, tf.float32), tf.reshape(boxes, [-1, 4]), owner, [size, size]
    )


def _share_of_map(features: tf.Tensor, height: Side, width: Side, stride: int) -> tf.Tensor:
    """Steps from the first to the last cell of each image, relative to those of the map, [B, 1, 4]."""
    cells = tf.shape(features)[1:3]
    own = [tf.minimum(cells_of(side, stride), cells[axis]) for axis, side in enumerate((height, width))]
    steps = tf.cast(tf.tile(cells - 1, [2]), tf.float32)
    return tf.math.divide_no_nan(last_index(own * 2, rank=3), steps)
