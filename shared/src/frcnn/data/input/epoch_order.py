"""Order of the images in each epoch, a function of seed and epoch only.

Therefore, a resumed run continues exactly, and ranks agree without communication. TensorFlow's stateless
random ops compute the order; they give the same numbers in every version.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class EpochOrder:
    """Images of each epoch, drawn from one or more sources.

    Each source is an endless sequence of shuffled passes over its images; epoch e takes the e-th section of
    it. So all images of a source are used equally often, and exactly once per epoch if shares equal counts.

    Attributes:
        counts: Number of images in each source; images are numbered source by source.
        shares: Number of images per epoch from each source.
        seed: Random seed of the spec.
    """

    counts: tuple[int, ...]
    shares: tuple[int, ...]
    seed: int

    def images(self, epoch: int | tf.Tensor) -> tf.Tensor:
        """Returns the image numbers of an epoch in training order.

        Args:
            epoch: Epoch, counted from 0.

        Returns:
            Image numbers, int64 `[sum(shares)]`.
        """
        epoch = tf.cast(epoch, tf.int64)
        starts = np.cumsum([0, *self.counts])
        drawn = [self._draw(source, epoch) + starts[source] for source in range(len(self.counts))]
        images = tf.concat(drawn, axis=0)
        return images if len(drawn) == 1 else tf.gather(images, self._shuffled(sum(self.shares), 0, epoch))

    def _draw(self, source: int, epoch: tf.Tensor) -> tf.Tensor:
        """Returns section `epoch` of a source's endless sequence."""
        count, share = self.counts[source], self.shares[source]
        if share == 0:
            return tf.zeros([0], tf.int64)
        first = epoch * share
        # Number of shuffled passes in the section, which may start and end within a pass.
        rounds = share // count + (0 if share % count == 0 else 2)
        row = tf.map_fn(
            lambda r: self._shuffled(count, source + 1, r), first // count + tf.range(rounds, dtype=tf.int64)
        )
        return tf.reshape(row, [-1])[first % count :][:share]

    def _shuffled(self, count: int, use: int, turn: tf.Tensor) -> tf.Tensor:
        """Returns 0 to `count` - 1 in random order, independent for each `use` and `turn`."""
        seed = tf.random.fold_in(tf.constant([self.seed, use], tf.int64), turn)
        return tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), seed)


def shares_of(counts: Sequence[int], weights: Sequence[float]) -> tuple[int, ...]:
    """Distributes the images of an epoch, sum(counts) in total, over the sources.

    Rounds by largest remainder. Empty sources get none.

    Args:
        counts: Number of images in each source.
        weights: Relative weight of each source.

    Returns:
        Number of images per epoch from each source.
    """
    total = sum(counts)
    usable = np.array([w if n else 0.0 for n, w in zip(counts, weights, strict=True)], np.float64)
    if total == 0:
        return tuple(0 for _ in counts)
    exact = usable / usable.sum() * total
    shares = np.floor(exact + 1e-9).astype(np.int64)
    by_remainder = np.argsort(-(exact - shares), kind="stable")
    shares[by_remainder[: total - int(shares.sum())]] += 1
    return tuple(int(share) for share in shares)


def steps_per_epoch(images: int, batch_size: int, world: int) -> int:
    """Returns the steps per rank that cover every image: ceil(ceil(images / batch) / world).

    Args:
        images: Number of images in the set.
        batch_size: Images per batch and rank.
        world: Number of ranks.
    """
    return math.ceil(math.ceil(images / batch_size) / world)


def positions_of_rank(images: int, batch_size: int, rank: int, world: int) -> np.ndarray:
    """Returns the positions of an epoch that a rank trains on.

    A global batch consists of `world` consecutive batches. If the epoch ends within the last global batch,
    its order starts over: position p refers to the image at p % `images`.

    Args:
        images: Number of images in the set.
        batch_size: Images per batch and rank.
        rank: Rank, 0 <= rank < world.
        world: Number of ranks.

    Returns:
        Positions, int64 `[steps * batch_size]`.
    """
    steps = steps_per_epoch(images, batch_size, world)
    positions = np.arange(steps * world * batch_size, dtype=np.int64)
    return positions.reshape(steps, world, batch_size)[:, rank].reshape(-1)
