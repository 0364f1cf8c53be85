"""Encodes boxes as deltas (dx, dy, dw, dh) relative to reference boxes, and decodes them.

Source: Ren et al. 2015, Faster R-CNN, equation 2. `inclusive` states whether sizes include the last
pixel (x2 - x1 + 1): the RoI head does so, as PASCAL VOC does; the RPN does not.
"""

import tensorflow as tf

# exp(10) scales an anchor by 22026: larger than any image, and far from overflow.
MAX_LOG_SCALE = 10.0


def encode(boxes: tf.Tensor, references: tf.Tensor, inclusive: bool) -> tf.Tensor:
    """Encodes boxes as deltas relative to reference boxes.

    Args:
        boxes: Boxes with positive sides, `yxyx` in pixels, `[..., 4]`. Callers mask the deltas of padding.
        references: Reference boxes with positive sides, `yxyx` in pixels, `[..., 4]`.
        inclusive: Whether sizes include the last pixel.

    Returns:
        Deltas (dx, dy, dw, dh), `[..., 4]`.
    """
    x, y, w, h = _center_and_size(boxes, inclusive)
    ref_x, ref_y, ref_w, ref_h = _center_and_size(references, inclusive)
    codes = [(x - ref_x) / ref_w, (y - ref_y) / ref_h, tf.math.log(w / ref_w), tf.math.log(h / ref_h)]
    return tf.stack(codes, axis=-1)


def decode(codes: tf.Tensor, references: tf.Tensor, inclusive: bool) -> tf.Tensor:
    """Decodes box deltas relative to reference boxes, without clipping to the image.

    Args:
        codes: Deltas (dx, dy, dw, dh), `[..., 4]`.
        references: Reference boxes, `yxyx` in pixels, `[..., 4]`.
        inclusive: Whether sizes include the last pixel. Corners are center -+ size / 2 either way, as
            in TAO.

    Returns:
        Boxes, `yxyx` in pixels, `[..., 4]`.
    """
    dx, dy, dw, dh = tf.unstack(codes, axis=-1)
    ref_x, ref_y, ref_w, ref_h = _center_and_size(references, inclusive)
    half_w = ref_w * tf.exp(tf.minimum(dw, MAX_LOG_SCALE)) / 2
    half_h = ref_h * tf.exp(tf.minimum(dh, MAX_LOG_SCALE)) / 2
    x, y = ref_x + dx * ref_w, ref_y + dy * ref_h
    return tf.stack([y - half_h, x - half_w, y + half_h, x + half_w], axis=-1)


def _center_and_size(boxes: tf.Tensor, inclusive: bool) -> tuple[tf.Tensor, ...]:
    extra = 1.0 if inclusive else 0.0
    y1, x1, y2, x2 = tf.unstack(boxes, axis=-1)
    width, height = x2 - x1 + extra, y2 - y1 + extra
    return x1 + width / 2, y1 + height / 2, width, height
