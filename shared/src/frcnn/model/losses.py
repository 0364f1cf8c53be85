"""The four losses of the detector, each a scalar, before its lambda.

Divisors are the configured mini-batch sizes, not the number of samples found, as in the reference:
an image with few samples weighs little.
"""

import tensorflow as tf

# Keeps log() finite for probabilities that rounding made 0 or 1.
EPSILON = 1e-7


def smooth_l1(difference: tf.Tensor, sigma: float) -> tf.Tensor:
    """Elementwise 0.5 (sigma d)^2 where |d| <= 1 / sigma^2, else |d| - 0.5 / sigma^2.

    Source: Girshick 2015, Fast R-CNN, equation 3, with the sigma of Ren et al.'s code.
    """
    size, square = tf.abs(difference), sigma * sigma
    return tf.where(size <= 1.0 / square, 0.5 * square * size * size, size - 0.5 / square)


def rpn_class_loss(
    probabilities: tf.Tensor, sampled: tf.Tensor, positive: tf.Tensor, mini_batch: int
) -> tf.Tensor:
    """Binary cross entropy of objectness [B, N] over the sampled anchors, averaged over images.

    `sampled` and `positive` are bool [B, N].
    """
    p = tf.clip_by_value(probabilities, EPSILON, 1.0 - EPSILON)
    entropy = -tf.math.log(tf.where(positive, p, 1.0 - p))
    return _mean_over_images(tf.where(sampled, entropy, 0.0), mini_batch)


def rpn_regress_loss(
    codes: tf.Tensor, target_codes: tf.Tensor, positive: tf.Tensor, mini_batch: int
) -> tf.Tensor:
    """Smooth L1 (sigma 3) of codes [B, N, 4] over the positive anchors, averaged over images."""
    distance = tf.reduce_sum(smooth_l1(codes - target_codes, sigma=3.0), axis=-1)
    return _mean_over_images(tf.where(positive, distance, 0.0), mini_batch)


def roi_class_loss(
    probabilities: tf.Tensor, labels: tf.Tensor, sampled: tf.Tensor, mini_batch: int
) -> tf.Tensor:
    """Cross entropy of class probabilities [B, K, C + 1] over the sampled RoIs, averaged over images.

    `labels` is int32 [B, K] (background = C), `sampled` bool [B, K].
    """
    p = tf.gather(probabilities, labels, batch_dims=2)
    entropy = -tf.math.log(tf.clip_by_value(p, EPSILON, 1.0 - EPSILON))
    return _mean_over_images(tf.where(sampled, entropy, 0.0), mini_batch)


def roi_regress_loss(
    codes: tf.Tensor, target_codes: tf.Tensor, labels: tf.Tensor, positive: tf.Tensor, mini_batch: int
) -> tf.Tensor:
    """Smooth L1 (sigma 1) of the true class's codes over the positive RoIs, averaged over images.

    Shapes: codes [B, K, C, 4], target codes [B, K, 4], labels int32 [B, K], positive bool [B, K].
    """
    own = tf.gather(codes, tf.where(positive, labels, 0), batch_dims=2)
    distance = tf.reduce_sum(smooth_l1(own - target_codes, sigma=1.0), axis=-1)
    return _mean_over_images(tf.where(positive, distance, 0.0), mini_batch)


def _mean_over_images(values: tf.Tensor, mini_batch: int) -> tf.Tensor:
    return tf.reduce_mean(tf.reduce_sum(values, axis=-1)) / mini_batch
