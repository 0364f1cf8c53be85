"""The labelled objects of one image on their way from a record into a batch.

Boxes are yxyx float32; n objects are in the image, G is the padded number.
"""

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from frcnn.data.conversion.plan import stored_class_name

# Class index of objects that are of no class of the spec, and of regions where detections do not count.
UNMAPPED = -1


class Objects(NamedTuple):
    """Objects of one image: boxes [n, 4] yxyx px, classes int32 [n], difficult bool [n]."""

    boxes: tf.Tensor
    classes: tf.Tensor
    difficult: tf.Tensor

    def keep(self, mask: tf.Tensor) -> "Objects":
        """The objects whose mask [n] is true, in the same order."""
        return self.take(tf.where(mask)[:, 0])

    def take(self, rows: tf.Tensor) -> "Objects":
        """The objects of these rows."""
        return Objects(*(tf.gather(part, rows) for part in self))


class ClassIndex:
    """Which class a labelled object belongs to."""

    def __init__(self, mapping: Mapping[str, str], class_names: tuple[str, ...]) -> None:
        """`mapping` leads from source class, however it is written, to one of `class_names`."""
        self._keys = tf.constant([stored_class_name(name) for name in mapping])
        self._values = tf.constant(
            [class_names.index(name) for name in mapping.values()] + [UNMAPPED], tf.int32
        )

    def __call__(self, names: tf.Tensor) -> tf.Tensor:
        """Index into `class_names` of each source class; int32 [n], `UNMAPPED` if it is not mapped.

        Case and spaces do not matter.
        """
        equal = normalized(names)[:, None] == self._keys
        none = tf.fill([tf.shape(names)[0], 1], True)
        first = tf.argmax(tf.cast(tf.concat([equal, none], axis=1), tf.int32), axis=1)
        return tf.gather(self._values, first)


def normalized(names: tf.Tensor) -> tf.Tensor:
    """Source classes as the converter stores them: lower case, without spaces."""
    return tf.strings.lower(tf.strings.regex_replace(names, r"\s", ""), encoding="utf-8")


def pad_regions(regions: Objects, limit: int) -> tf.Tensor:
    """Boxes of the `limit` largest regions, float32 [limit, 4]; the rest is 0."""
    boxes = keep_largest(regions, limit).boxes
    return tf.ensure_shape(tf.pad(boxes, [[0, limit - tf.shape(boxes)[0]], [0, 0]]), [limit, 4])


def drop_small(objects: Objects, min_height: float, min_width: float) -> Objects:
    """Without the boxes that are lower than `min_height` or narrower than `min_width`, px."""
    sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
    return objects.keep(tf.reduce_all(sides >= [min_height, min_width], axis=1))


def snap_to_pixels(objects: Objects, height: int | tf.Tensor, width: int | tf.Tensor) -> Objects:
    """Rounded (half to even), clipped to [0, height-1] and [0, width-1]; what has no area left is dropped."""
    limit = tf.cast(tf.stack([height - 1, width - 1, height - 1, width - 1]), tf.float32)
    boxes = tf.clip_by_value(tf.round(objects.boxes), 0.0, limit)
    return objects._replace(boxes=boxes).keep(tf.reduce_all(boxes[:, 2:] > boxes[:, :2], axis=1))


def keep_largest(objects: Objects, limit: int) -> Objects:
    """The `limit` objects of largest area, in their old order; all of them if there are no more."""
    sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
    count = tf.minimum(limit, tf.shape(sides)[0])
    largest = tf.math.top_k(sides[:, 0] * sides[:, 1], count).indices
    return objects.take(tf.sort(largest))


def pad_objects(objects: Objects, limit: int) -> dict[str, tf.Tensor]:
    """Arrays of the fixed length G = `limit`: boxes, classes, valid, difficult; the rest is 0 and false."""
    count = tf.shape(objects.boxes)[0]
    missing = limit - count
    return {
        "boxes": tf.ensure_shape(tf.pad(objects.boxes, [[0, missing], [0, 0]]), [limit, 4]),
        "classes": tf.ensure_shape(tf.pad(objects.classes, [[0, missing]]), [limit]),
        "valid": tf.range(limit) < count,
        "difficult": tf.ensure_shape(tf.pad(objects.difficult, [[0, missing]]), [limit]),
    }
