"""Which images go to which fold, and which of a fold's images to which shard."""

import random
from collections.abc import Mapping, Sequence

# The reference's seed; a data set is split the same way on every machine and every day.
SEED = 42


def random_folds(names: Sequence[str], val_split: float) -> tuple[list[str], list[str]]:
    """A seeded random split: fold 0 gets `val_split` percent of the names (rounded down), fold 1 the rest.

    Both come in random order, which does not depend on the order of `names`. `val_split` 0 leaves
    fold 0 empty; the training images are fold 1 whatever the split is.
    """
    shuffled = sorted(names)
    random.Random(SEED).shuffle(shuffled)
    held_out = int(val_split / 100.0 * len(shuffled))
    return shuffled[:held_out], shuffled[held_out:]


def sequence_folds(sequences: Mapping[str, Sequence[str]], count: int) -> tuple[list[str], ...]:
    """Whole sequences dealt to `count` folds (at least one), longest first, last fold first.

    Each fold is then shuffled. With more folds than sequences the first ones stay empty.
    """
    folds: list[list[str]] = [[] for _ in range(max(count, 1))]
    longest_first = sorted(sequences, key=lambda name: (-len(sequences[name]), name))
    for rank, name in enumerate(longest_first):
        folds[rank % len(folds)].extend(sequences[name])
    folds.reverse()
    generator = random.Random(SEED)
    for fold in folds:
        generator.shuffle(fold)
    return tuple(folds)


def shard_slices(size: int, shards: int) -> list[slice]:
    """`shards` slices (one for 0) that cover `size` items in order and differ by one item at most.

    The longer ones come first, so that the first shard is empty only if all are.
    """
    share, longer = divmod(size, max(shards, 1))
    slices, start = [], 0
    for shard in range(max(shards, 1)):
        end = start + share + (shard < longer)
        slices.append(slice(start, end))
        start = end
    return slices
