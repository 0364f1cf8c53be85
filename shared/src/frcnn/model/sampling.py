"""Samples a fixed number of candidates; batched, of static shape, and determined by a seed."""

import tensorflow as tf

from frcnn.ops.dimensions import dimension, smaller


def random_subset(candidates: tf.Tensor, quota: tf.Tensor | int, largest: int, seed: tf.Tensor) -> tf.Tensor:
    """Selects at most `quota` candidates of each image with equal probability.

    Args:
        candidates: Whether each element is a candidate, bool `[B, N]`.
        quota: Number of candidates to keep: an int, or int32 `[B]`.
        largest: Static upper limit of `quota`.
        seed: Random seed, int32 `[2]`.

    Returns:
        Subset of `candidates`, bool `[B, N]`.
    """
    order, count = _shuffled(candidates, largest, seed)
    size = dimension(order, 1)
    limit = tf.minimum(count, tf.broadcast_to(quota, tf.shape(count)))
    take = tf.range(size) < limit[:, None]
    rows = tf.broadcast_to(tf.range(tf.shape(order)[0])[:, None], tf.shape(order))
    marks = tf.scatter_nd(tf.stack([rows, order], -1), tf.cast(take, tf.int32), tf.shape(candidates))
    return marks > 0


def choose(
    positive: tf.Tensor, negative: tf.Tensor, size: int, most_positive: int, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Selects exactly `size` candidates of each image, positives first.

    If there are both kinds, at most `most_positive` are positive and the rest negative; otherwise all are of
    the one kind. A kind with too few candidates for its slots repeats some of them at random.

    Args:
        positive: Whether each element is a positive candidate, bool `[B, N]`.
        negative: Whether each element is a negative candidate, bool `[B, N]`.
        size: Number of samples, K.
        most_positive: Maximum number of positives among the K samples.
        seed: Random seed, int32 `[2]`.

    Returns:
        Tuple of indices into N, int32 `[B, K]`; whether each is positive, bool `[B, K]`; and whether the
        image has a sample, bool `[B, K]`, false throughout an image without candidates.
    """
    positives, positive_count = _shuffled(positive, size, seed)
    negatives, negative_count = _shuffled(negative, size, seed + tf.constant([0, 1], seed.dtype))
    share = tf.where(negative_count > 0, tf.minimum(positive_count, most_positive), size)
    share = tf.where(positive_count > 0, share, 0)[:, None]
    slot = tf.broadcast_to(tf.range(size), [tf.shape(positive)[0], size])
    again = tf.random.stateless_uniform(tf.shape(slot), seed + tf.constant([0, 2], seed.dtype))
    is_positive = slot < share
    indices = tf.where(
        is_positive,
        _take(positives, positive_count, slot, again),
        _take(negatives, negative_count, slot - share, again),
    )
    sampled = tf.broadcast_to(((positive_count + negative_count) > 0)[:, None], tf.shape(slot))
    return tf.where(sampled, indices, 0), is_positive & sampled, sampled


def _shuffled(candidates: tf.Tensor, most: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns up to `most` candidates per image in random order, and the numbers of candidates."""
    draw = tf.random.stateless_uniform(tf.shape(candidates), seed)
    order = tf.math.top_k(tf.where(candidates, draw, -1.0), smaller(most, dimension(candidates, 1))).indices
    return order, tf.reduce_sum(tf.cast(candidates, tf.int32), axis=-1)


def _take(order: tf.Tensor, count: tf.Tensor, slot: tf.Tensor, again: tf.Tensor) -> tf.Tensor:
    """Returns the candidate of each slot, `[B, K]`: in order while available, then at random."""
    available = tf.minimum(count, dimension(order, 1))[:, None]
    redraw = tf.cast(again * tf.cast(available, tf.float32), tf.int32)
    position = tf.where((slot >= 0) & (slot < available), slot, tf.minimum(redraw, available - 1))
    return tf.gather(order, tf.maximum(position, 0), batch_dims=1)
