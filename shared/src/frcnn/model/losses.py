"""The four losses of the detector as scalars, without their lambdas.

As in TAO, divisors are the configured mini-batch sizes instead of the number of samples found: images with
few samples have little weight.
"""

import tensorflow as tf

# Keeps log() finite for probabilities that were rounded to 0 or 1.
EPSILON = 1e-7


def smooth_l1(difference: tf.Tensor, sigma: float) -> tf.Tensor:
    """Computes 0.5 (sigma d)^2 where |d| <= 1 / sigma^2, else |d| - 0.5 / sigma^2, elementwise.

    Source: Girshick 2015, Fast R-CNN, equation 3, with the sigma of Ren et al.'s code.

    Args:
        difference: Differences d, any shape.
        sigma: Sigma.

    Returns:
        Losses, same shape.
    """
    size, square = tf.abs(difference), sigma * sigma
    return tf.where(size <= 1.0 / square, 0.5 * square * size * size, size - 0.5 / square)


def rpn_class_loss(
    probabilities: tf.Tensor, sampled: tf.Tensor, positive: tf.Tensor, mini_batch: int
) -> tf.Tensor:
    """Computes the binary cross entropy of the sampled anchors, averaged over images.

    Args:
        probabilities: Objectness, `[B, N]`.
        sampled: Whether each anchor is in the sample, bool `[B, N]`.
        positive: Whether each anchor is positive, bool `[B, N]`.
        mini_batch: Configured number of samples per image.

    Returns:
        Scalar.
    """
    p = tf.clip_by_value(probabilities, EPSILON, 1.0 - EPSILON)
    entropy = -tf.math.log(tf.where(positive, p, 1.0 - p))
    return _mean_over_images(tf.where(sampled, entropy, 0.0), mini_batch)


def rpn_regress_loss(
    codes: tf.Tensor, target_codes: tf.Tensor, positive: tf.Tensor, mini_batch: int
) -> tf.Tensor:
    """Computes the smooth L1 loss (sigma 3) of the positive anchors, averaged over images.

    Args:
        codes: Predicted box deltas, `[B, N, 4]`.
        target_codes: Target box deltas, `[B, N, 4]`.
        positive: Whether each anchor is positive, bool `[B, N]`.
        mini_batch: Configured number of samples per image.

    Returns:
        Scalar.
    """
    distance = tf.reduce_sum(smooth_l1(codes - target_codes, sigma=3.0), axis=-1)
    return _mean_over_images(tf.where(positive, distance, 0.0), mini_batch)


def roi_class_loss(
    probabilities: tf.Tensor, labels: tf.Tensor, sampled: tf.Tensor, mini_batch: int
) -> tf.Tensor:
    """Computes the cross entropy of the sampled RoIs, averaged over images.

    Args:
        probabilities: Class probabilities, background last, `[B, K, C + 1]`.
        labels: True classes, background is C, int32 `[B, K]`.
        sampled: Whether each RoI is in the sample, bool `[B, K]`.
        mini_batch: Configured number of samples per image.

    Returns:
        Scalar.
    """
    p = tf.gather(probabilities, labels, batch_dims=2)
    entropy = -tf.math.log(tf.clip_by_value(p, EPSILON, 1.0 - EPSILON))
    return _mean_over_images(tf.where(sampled, entropy, 0.0), mini_batch)


def roi_regress_loss(
    codes: tf.Tensor, target_codes: tf.Tensor, labels: tf.Tensor, positive: tf.Tensor, mini_batch: int
) -> tf.Tensor:
    """Computes the smooth L1 loss (sigma 1) of the positive RoIs, averaged over images.

    Args:
        codes: Predicted box deltas of every class, `[B, K, C, 4]`.
        target_codes: Target box deltas, `[B, K, 4]`.
        labels: True classes, int32 `[B, K]`.
        positive: Whether each RoI is positive, bool `[B, K]`.
        mini_batch: Configured number of samples per image.

    Returns:
        Scalar.
    """
    own = tf.gather(codes, tf.where(positive, labels, 0), batch_dims=2)
    distance = tf.reduce_sum(smooth_l1(own - target_codes, sigma=1.0), axis=-1)
    return _mean_over_images(tf.where(positive, distance, 0.0), mini_batch)


def _mean_over_images(values: tf.Tensor, mini_batch: int) -> tf.Tensor:
    return tf.reduce_mean(tf.reduce_sum(values, axis=-1)) / mini_batch
