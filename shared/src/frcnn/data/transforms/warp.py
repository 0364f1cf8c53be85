"""Affine maps of an image and its boxes.

Points are (x, y) in pixels; pixel edges are at integer coordinates. So an image of width w spans x = 0 to
x = w, and a flip is x -> w - x. A map is a float32 `[3, 3]` matrix that transforms source points, columns
(x, y, 1), to target points. H and W are height and width of the result, C is the number of channels, n the
number of objects.
"""

from collections.abc import Sequence
from typing import TypeAlias

import tensorflow as tf

from frcnn.data.transforms.objects import Objects

Scalar: TypeAlias = "float | tf.Tensor"
Side: TypeAlias = "int | tf.Tensor"

# Pixels outside the source become mid gray, 0.5 of full scale, as in TAO.
OUTSIDE = 127.5


def affine(xx: Scalar, xy: Scalar, x: Scalar, yx: Scalar, yy: Scalar, y: Scalar) -> tf.Tensor:
    """Returns the map (px, py) -> (xx px + xy py + x, yx px + yy py + y)."""
    values = [xx, xy, x, yx, yy, y, 0.0, 0.0, 1.0]
    return tf.reshape(tf.stack([tf.cast(value, tf.float32) for value in values]), [3, 3])


def scaling(x: Scalar, y: Scalar) -> tf.Tensor:
    """Returns a scaling about the origin."""
    return affine(x, 0.0, 0.0, 0.0, y, 0.0)


def translation(x: Scalar, y: Scalar) -> tf.Tensor:
    """Returns a shift to the right by x px and down by y px."""
    return affine(1.0, 0.0, x, 0.0, 1.0, y)


def mirroring(across: tf.Tensor, down: tf.Tensor, height: Scalar, width: Scalar) -> tf.Tensor:
    """Returns a flip within an image.

    Args:
        across: Whether to flip horizontally, bool scalar.
        down: Whether to flip vertically, bool scalar.
        height: Height of the image, px.
        width: Width of the image, px.
    """
    across, down = tf.cast(across, tf.float32), tf.cast(down, tf.float32)
    return affine(1.0 - 2.0 * across, 0.0, across * width, 0.0, 1.0 - 2.0 * down, down * height)


def rotation(angle: Scalar, center_x: Scalar, center_y: Scalar) -> tf.Tensor:
    """Returns a rotation about a point.

    Args:
        angle: Angle in radians, clockwise on the screen (from the x to the y axis).
        center_x: Center, x, px.
        center_y: Center, y, px.
    """
    turn = affine(tf.cos(angle), -tf.sin(angle), 0.0, tf.sin(angle), tf.cos(angle), 0.0)
    return translation(center_x, center_y) @ turn @ translation(-center_x, -center_y)


def composed(maps: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns the composition of maps; the first one is applied first."""
    result = maps[0]
    for following in maps[1:]:
        result = following @ result
    return result


def warp_image(image: tf.Tensor, matrix: tf.Tensor, height: Side, width: Side) -> tf.Tensor:
    """Applies a map to an image, with bilinear interpolation and gray outside the source.

    Shifts by whole pixels and flips copy values exactly.

    Args:
        image: Image, float32 `[h, w, C]`, 0..255.
        matrix: Map, float32 `[3, 3]`.
        height: Height of the result, px.
        width: Width of the result, px.

    Returns:
        Image, float32 `[H, W, C]`.
    """
    back = tf.linalg.inv(matrix)
    # Integer coordinates are pixel centers in the op, but edges in the map: center i is at i + 0.5.
    centered = translation(-0.5, -0.5) @ back @ translation(0.5, 0.5)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.concat([tf.reshape(centered[:2], [6]), tf.zeros([2])], axis=0)[None],
        output_shape=[height, width],
        fill_value=OUTSIDE,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    static = [side if isinstance(side, int) else None for side in (height, width)]
    return tf.ensure_shape(warped[0], [*static, image.shape[-1]])


def warp_boxes(boxes: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Applies a map to boxes and returns their bounding boxes, without clipping.

    Args:
        boxes: Boxes, `yxyx`, `[n, 4]`.
        matrix: Map, float32 `[3, 3]`.

    Returns:
        Axis-aligned boxes, `yxyx`, `[n, 4]`.
    """
    y1, x1, y2, x2 = tf.unstack(boxes, axis=1)
    corners = tf.stack([tf.stack([x1, x2, x1, x2], axis=1), tf.stack([y1, y1, y2, y2], axis=1)])
    x, y = tf.unstack(tf.tensordot(matrix[:2, :2], corners, axes=1) + matrix[:2, 2, None, None])
    edges = [tf.reduce_min(y, 1), tf.reduce_min(x, 1), tf.reduce_max(y, 1), tf.reduce_max(x, 1)]
    return tf.stack(edges, axis=1)


def clip_objects(objects: Objects, height: Side, width: Side, min_height: float, min_width: float) -> Objects:
    """Clips boxes to the image and drops those that become too small.

    Args:
        objects: Objects.
        height: Height of the image, px; y is clipped to 0..H.
        width: Width of the image, px; x is clipped to 0..W.
        min_height: Minimum height of a clipped box, px.
        min_width: Minimum width of a clipped box, px.
    """
    edge = tf.cast(tf.stack([height, width, height, width]), tf.float32)
    boxes = tf.clip_by_value(objects.boxes, 0.0, edge)
    sides = boxes[:, 2:] - boxes[:, :2]
    return objects._replace(boxes=boxes).keep(tf.reduce_all(sides >= [min_height, min_width], axis=1))
