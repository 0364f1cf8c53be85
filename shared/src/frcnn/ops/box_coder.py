"""Box regression codes (dx, dy, dw, dh) and back. Boxes are `yxyx` pixels; any leading dimensions.

Source: Ren et al. 2015, Faster R-CNN, equation 2. `inclusive` says whether a side counts its last
pixel (x2 - x1 + 1): the RoI head codes so, as in PASCAL VOC; the RPN does not.
"""

import tensorflow as tf

# exp(10) is 22026 times an anchor: more than any image, and far from what overflows to infinity.
MAX_LOG_SCALE = 10.0


def encode(boxes: tf.Tensor, references: tf.Tensor, inclusive: bool) -> tf.Tensor:
    """Codes [..., 4] that move `references` [..., 4] onto `boxes` [..., 4].

    Sides must be positive; the caller masks what comes of boxes that are only padding.
    """
    x, y, w, h = _centre_and_size(boxes, inclusive)
    ref_x, ref_y, ref_w, ref_h = _centre_and_size(references, inclusive)
    codes = [(x - ref_x) / ref_w, (y - ref_y) / ref_h, tf.math.log(w / ref_w), tf.math.log(h / ref_h)]
    return tf.stack(codes, axis=-1)


def decode(codes: tf.Tensor, references: tf.Tensor, inclusive: bool) -> tf.Tensor:
    """Boxes [..., 4] that `codes` [..., 4] make of `references` [..., 4]; not clipped to the image.

    With `inclusive`, sizes count the last pixel while corners are centre -+ size / 2, which is how
    detectors trained with the reference implementation were decoded.
    """
    dx, dy, dw, dh = tf.unstack(codes, axis=-1)
    ref_x, ref_y, ref_w, ref_h = _centre_and_size(references, inclusive)
    half_w = ref_w * tf.exp(tf.minimum(dw, MAX_LOG_SCALE)) / 2
    half_h = ref_h * tf.exp(tf.minimum(dh, MAX_LOG_SCALE)) / 2
    x, y = ref_x + dx * ref_w, ref_y + dy * ref_h
    return tf.stack([y - half_h, x - half_w, y + half_h, x + half_w], axis=-1)


def _centre_and_size(boxes: tf.Tensor, inclusive: bool) -> tuple[tf.Tensor, ...]:
    extra = 1.0 if inclusive else 0.0
    y1, x1, y2, x2 = tf.unstack(boxes, axis=-1)
    width, height = x2 - x1 + extra, y2 - y1 + extra
    return x1 + width / 2, y1 + height / 2, width, height
