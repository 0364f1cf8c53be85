"""Assigns images to folds, and the images of a fold to shards."""

import random
from collections.abc import Mapping, Sequence

# TAO's seed; a fixed seed makes splits reproducible.
SEED = 42


def random_folds(names: Sequence[str], val_split: float) -> tuple[list[str], list[str]]:
    """Splits names at random with a fixed seed.

    The result does not depend on the order of `names`. The training images are always fold 1.

    Args:
        names: Image names.
        val_split: Percentage of names in fold 0, rounded down; 0 leaves fold 0 empty.

    Returns:
        Names of fold 0 and fold 1, each in random order.
    """
    shuffled = sorted(names)
    random.Random(SEED).shuffle(shuffled)
    held_out = int(val_split / 100.0 * len(shuffled))
    return shuffled[:held_out], shuffled[held_out:]


def sequence_folds(sequences: Mapping[str, Sequence[str]], count: int) -> tuple[list[str], ...]:
    """Distributes whole sequences over folds, longest first, starting with the last fold.

    Args:
        sequences: Frames by sequence name.
        count: Number of folds; 0 counts as 1. Folds with low numbers stay empty if there are more folds
            than sequences.

    Returns:
        Frames of each fold, shuffled with a fixed seed.
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
    """Splits a number of items into consecutive slices whose lengths differ by at most one.

    Args:
        size: Number of items.
        shards: Number of slices; 0 counts as 1.

    Returns:
        Slices in order, longer ones first: the first one is empty only if all are.
    """
    share, longer = divmod(size, max(shards, 1))
    slices, start = [], 0
    for shard in range(max(shards, 1)):
        end = start + share + (shard < longer)
        slices.append(slice(start, end))
        start = end
    return slices
