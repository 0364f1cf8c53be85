"""In which order an epoch visits the images: a function of seed and epoch only.

So a run that resumes in the middle goes on exactly, and ranks agree without talking to each other.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

# Tells the generator of one use from another's with the same seed.
WITHIN_SOURCE, ACROSS_SOURCES = 1, 2


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

    def images(self, epoch: int) -> np.ndarray:
        """Image numbers of `epoch` (counted from 0) in the order of training, int64 [sum(shares)]."""
        starts = np.cumsum([0, *self.counts])
        drawn = [self._draw(source, epoch) + starts[source] for source in range(len(self.counts))]
        merged = np.concatenate(drawn)
        if len(drawn) > 1:
            merged = merged[
                np.random.default_rng([self.seed, ACROSS_SOURCES, epoch]).permutation(len(merged))
            ]
        return merged

    def _draw(self, source: int, epoch: int) -> np.ndarray:
        count, share = self.counts[source], self.shares[source]
        if share == 0:
            return np.zeros(0, np.int64)
        first, last = epoch * share, (epoch + 1) * share
        rounds = range(first // count, math.ceil(last / count))
        shuffled = [
            np.random.default_rng([self.seed, WITHIN_SOURCE, source, r]).permutation(count) for r in rounds
        ]
        skipped = first - rounds.start * count
        return np.concatenate(shuffled)[skipped : skipped + share]


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


def slots_of_rank(order: np.ndarray, batch_size: int, rank: int, world: int) -> np.ndarray:
    """Positions in the epoch of the images `rank` trains on, int64 [steps * batch_size].

    Global batch g is made of `world` batches side by side. Where the epoch ends within the last one,
    its order starts again; position p stands for image order[p % len(order)].
    """
    steps = steps_per_epoch(len(order), batch_size, world)
    positions = np.arange(steps * world * batch_size, dtype=np.int64)
    return positions.reshape(steps, world, batch_size)[:, rank].reshape(-1)
