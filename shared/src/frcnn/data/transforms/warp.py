"""Affine maps of an image and its boxes. Points are (x, y) in px, pixel edges at whole numbers.

A map is a float32 [3, 3] matrix for columns (x, y, 1): it says where a point of the source comes to lie.
With edges at whole numbers a picture w wide runs from x = 0 to x = w, and mirroring is x -> w - x. H and W
are the height and width of the result, C channels, n objects.
"""

from collections.abc import Sequence
from typing import TypeAlias

import tensorflow as tf

from frcnn.data.transforms.objects import Objects

Scalar: TypeAlias = "float | tf.Tensor"
Side: TypeAlias = "int | tf.Tensor"

# What lies outside the source becomes mid grey, 0.5 of full scale, as in the reference.
OUTSIDE = 127.5


def affine(xx: Scalar, xy: Scalar, x: Scalar, yx: Scalar, yy: Scalar, y: Scalar) -> tf.Tensor:
    """The map (px, py) -> (xx px + xy py + x, yx px + yy py + y)."""
    values = [xx, xy, x, yx, yy, y, 0.0, 0.0, 1.0]
    return tf.reshape(tf.stack([tf.cast(value, tf.float32) for value in values]), [3, 3])


def scaling(x: Scalar, y: Scalar) -> tf.Tensor:
    """Scaled about the origin."""
    return affine(x, 0.0, 0.0, 0.0, y, 0.0)


def translation(x: Scalar, y: Scalar) -> tf.Tensor:
    """Moved right and down by x and y px."""
    return affine(1.0, 0.0, x, 0.0, 1.0, y)


def mirroring(across: tf.Tensor, down: tf.Tensor, height: Scalar, width: Scalar) -> tf.Tensor:
    """Left and right swapped if `across`, top and bottom if `down`, within [height, width]."""
    across, down = tf.cast(across, tf.float32), tf.cast(down, tf.float32)
    return affine(1.0 - 2.0 * across, 0.0, across * width, 0.0, 1.0 - 2.0 * down, down * height)


def rotation(angle: Scalar, centre_x: Scalar, centre_y: Scalar) -> tf.Tensor:
    """Turned by `angle` radians about a point, clockwise on the screen (from the x to the y axis)."""
    turn = affine(tf.cos(angle), -tf.sin(angle), 0.0, tf.sin(angle), tf.cos(angle), 0.0)
    return translation(centre_x, centre_y) @ turn @ translation(-centre_x, -centre_y)


def composed(maps: Sequence[tf.Tensor]) -> tf.Tensor:
    """One map that does `maps` one after the other, the first one first."""
    result = maps[0]
    for following in maps[1:]:
        result = following @ result
    return result


def warp_image(image: tf.Tensor, matrix: tf.Tensor, height: Side, width: Side) -> tf.Tensor:
    """`image` [h, w, C] float32 0..255 seen through the map, float32 [H, W, C].

    Bilinear, grey where the source ends. A map by whole pixels or a mirroring copies values exactly.
    """
    back = tf.linalg.inv(matrix)
    # The op counts pixel centres from 0, the map counts edges: centre i lies at i + 0.5.
    centred = translation(-0.5, -0.5) @ back @ translation(0.5, 0.5)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.concat([tf.reshape(centred[:2], [6]), tf.zeros([2])], axis=0)[None],
        output_shape=[height, width],
        fill_value=OUTSIDE,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    static = [side if isinstance(side, int) else None for side in (height, width)]
    return tf.ensure_shape(warped[0], [*static, image.shape[-1]])


def warp_boxes(boxes: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """The upright rectangles around the mapped `boxes`, yxyx [n, 4]; not clipped."""
    y1, x1, y2, x2 = tf.unstack(boxes, axis=1)
    corners = tf.stack([tf.stack([x1, x2, x1, x2], axis=1), tf.stack([y1, y1, y2, y2], axis=1)])
    x, y = tf.unstack(tf.tensordot(matrix[:2, :2], corners, axes=1) + matrix[:2, 2, None, None])
    edges = [tf.reduce_min(y, 1), tf.reduce_min(x, 1), tf.reduce_max(y, 1), tf.reduce_max(x, 1)]
    return tf.stack(edges, axis=1)


def clip_objects(objects: Objects, height: Side, width: Side, min_height: float, min_width: float) -> Objects:
    """Boxes cut to the picture [0, H] x [0, W]; dropped if less than the minimum is left of them."""
    edge = tf.cast(tf.stack([height, width, height, width]), tf.float32)
    boxes = tf.clip_by_value(objects.boxes, 0.0, edge)
    sides = boxes[:, 2:] - boxes[:, :2]
    return objects._replace(boxes=boxes).keep(tf.reduce_all(sides >= [min_height, min_width], axis=1))
