"""Labeled objects of one image, from record to batch.

Boxes are `yxyx`, float32. An image has n objects; G is the padded number.
"""

import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from frcnn.class_names import stored_class_name

# Class index of objects whose class is not in the spec, and of regions in which detections are ignored.
UNMAPPED = -1


class Objects(NamedTuple):
    """Objects of one image.

    Attributes:
        boxes: Boxes, `yxyx` in pixels, float32 `[n, 4]`.
        classes: Class indices, int32 `[n]`.
        difficult: Whether evaluation treats an object as difficult, bool `[n]`.
    """

    boxes: tf.Tensor
    classes: tf.Tensor
    difficult: tf.Tensor

    def keep(self, mask: tf.Tensor) -> "Objects":
        """Returns the objects selected by a bool mask `[n]`, in the same order."""
        return self.take(tf.where(mask)[:, 0])

    def take(self, rows: tf.Tensor) -> "Objects":
        """Returns the objects at the given indices."""
        return Objects(*(tf.gather(part, rows) for part in self))


class ClassIndex:
    """Lookup from the class name in a label to the class index."""

    def __init__(self, mapping: Mapping[str, str], class_names: tuple[str, ...]) -> None:
        """Creates the lookup.

        Args:
            mapping: Class names by source class, in any spelling that `stored_class_name` unifies.
            class_names: Class names; the position is the index.
        """
        # Records of other programs, and of this one before it composed names, may be in either form.
        stored = [stored_class_name(name) for name in mapping]
        self._keys = tf.constant([*stored, *(unicodedata.normalize("NFD", name) for name in stored)])
        indices = [class_names.index(name) for name in mapping.values()]
        self._values = tf.constant([*indices, *indices, UNMAPPED], tf.int32)

    def __call__(self, names: tf.Tensor) -> tf.Tensor:
        """Looks up the class index of source classes, ignoring case and spaces.

        Args:
            names: Source classes, string `[n]`.

        Returns:
            Indices into `class_names`, int32 `[n]`; `UNMAPPED` for classes that are not mapped.
        """
        equal = normalized(names)[:, None] == self._keys
        none = tf.fill([tf.shape(names)[0], 1], True)
        first = tf.argmax(tf.cast(tf.concat([equal, none], axis=1), tf.int32), axis=1)
        return tf.gather(self._values, first)


def normalized(names: tf.Tensor) -> tf.Tensor:
    """Converts source classes to their form in records: lower case, without spaces."""
    return tf.strings.lower(tf.strings.regex_replace(names, r"\s", ""), encoding="utf-8")


def pad_regions(regions: Objects, limit: int) -> tf.Tensor:
    """Returns the boxes of the `limit` largest regions, padded with 0.

    Args:
        regions: Regions.
        limit: Number of rows.

    Returns:
        Boxes, `yxyx`, float32 `[limit, 4]`.
    """
    boxes = keep_largest(regions, limit).boxes
    return tf.ensure_shape(tf.pad(boxes, [[0, limit - tf.shape(boxes)[0]], [0, 0]]), [limit, 4])


def drop_small(objects: Objects, min_height: float, min_width: float) -> Objects:
    """Drops objects whose boxes are lower or narrower than a minimum.

    Args:
        objects: Objects.
        min_height: Minimum height, px.
        min_width: Minimum width, px.
    """
    sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
    return objects.keep(tf.reduce_all(sides >= [min_height, min_width], axis=1))


def snap_to_pixels(objects: Objects, height: int | tf.Tensor, width: int | tf.Tensor) -> Objects:
    """Rounds boxes half to even, clips them and drops those without area.

    Args:
        objects: Objects.
        height: Height of the image, px; y is clipped to 0..height - 1.
        width: Width of the image, px; x is clipped to 0..width - 1.
    """
    limit = tf.cast(tf.stack([height - 1, width - 1, height - 1, width - 1]), tf.float32)
    boxes = tf.clip_by_value(tf.round(objects.boxes), 0.0, limit)
    return objects._replace(boxes=boxes).keep(tf.reduce_all(boxes[:, 2:] > boxes[:, :2], axis=1))


def keep_largest(objects: Objects, limit: int) -> Objects:
    """Keeps the objects with the largest areas, in their original order.

    Args:
        objects: Objects.
        limit: Maximum number of objects.
    """
    sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
    count = tf.minimum(limit, tf.shape(sides)[0])
    largest = tf.math.top_k(sides[:, 0] * sides[:, 1], count).indices
    return objects.take(tf.sort(largest))


def pad_objects(objects: Objects, limit: int) -> dict[str, tf.Tensor]:
    """Pads objects to a fixed number.

    Args:
        objects: At most `limit` objects.
        limit: Padded number, G.

    Returns:
        Dict of `boxes`, float32 `[G, 4]`, `classes`, int32 `[G]`, `valid` and `difficult`, bool `[G]`.
        Padding is 0 and `False`.
    """
    count = tf.shape(objects.boxes)[0]
    missing = limit - count
    return {
        "boxes": tf.ensure_shape(tf.pad(objects.boxes, [[0, missing], [0, 0]]), [limit, 4]),
        "classes": tf.ensure_shape(tf.pad(objects.classes, [[0, missing]]), [limit]),
        "valid": tf.range(limit) < count,
        "difficult": tf.ensure_shape(tf.pad(objects.difficult, [[0, missing]]), [limit]),
    }
