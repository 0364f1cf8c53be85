"""In which order an epoch visits the images: a function of seed and epoch only.

So a run that resumes in the middle goes on exactly, and ranks agree without talking to each other. Orders
are computed by TensorFlow's stateless random ops, whose numbers stay the same from version to version.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class EpochOrder:
    """The images of each epoch, drawn from one or more sources.

    Each source is an endless row of its shuffled images; epoch e takes the e-th stretch of it. So each
    image of a source comes equally often, and exactly once an epoch when shares equal counts.

    Attributes:
        counts: Images in each source; they are numbered source after source.
        shares: How many of an epoch's images come from each source.
        seed: The spec's random seed.
    """

    counts: tuple[int, ...]
    shares: tuple[int, ...]
    seed: int

    def images(self, epoch: int | tf.Tensor) -> tf.Tensor:
        """Image numbers of `epoch` (counted from 0) in the order of training, int64 [sum(shares)]."""
        epoch = tf.cast(epoch, tf.int64)
        starts = np.cumsum([0, *self.counts])
        drawn = [self._draw(source, epoch) + starts[source] for source in range(len(self.counts))]
        images = tf.concat(drawn, axis=0)
        return images if len(drawn) == 1 else tf.gather(images, self._shuffled(sum(self.shares), 0, epoch))

    def _draw(self, source: int, epoch: tf.Tensor) -> tf.Tensor:
        """The `epoch`-th stretch of the source's endless row."""
        count, share = self.counts[source], self.shares[source]
        if share == 0:
            return tf.zeros([0], tf.int64)
        first = epoch * share
        # How often the source is shuffled for a stretch: it may begin and end within a round.
        rounds = share // count + (0 if share % count == 0 else 2)
        row = tf.map_fn(
            lambda r: self._shuffled(count, source + 1, r), first // count + tf.range(rounds, dtype=tf.int64)
        )
        return tf.reshape(row, [-1])[first % count :][:share]

    def _shuffled(self, count: int, use: int, turn: tf.Tensor) -> tf.Tensor:
        """0 to `count` - 1 in random order; each `use` of the seed has its own orders, one for each turn."""
        seed = tf.random.fold_in(tf.constant([self.seed, use], tf.int64), turn)
        return tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), seed)


def shares_of(counts: Sequence[int], weights: Sequence[float]) -> tuple[int, ...]:
    """How many images of an epoch each source gives: in proportion to `weights`, sum(counts) in all.

    Whole numbers by largest remainder; an empty source gives none.
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
    """Steps each rank takes so that every image is seen: ceil(ceil(images / batch) / world)."""
    return math.ceil(math.ceil(images / batch_size) / world)


def positions_of_rank(images: int, batch_size: int, rank: int, world: int) -> np.ndarray:
    """Positions in an epoch of the images `rank` trains on, int64 [steps * batch_size].

    Global batch g is made of `world` batches side by side. Where the epoch ends within the last one,
    its order starts again: position p stands for the image at p % `images`.
    """
    steps = steps_per_epoch(images, batch_size, world)
    positions = np.arange(steps * world * batch_size, dtype=np.int64)
    return positions.reshape(steps, world, batch_size)[:, rank].reshape(-1)
