"""Finds images that occur several times: identical files, and images that look the same.

Identical files are found exactly: files of the same size are compared by checksum. Similar images are found
by perceptual hashes of 256 bits. On two sets of photographs, different images differ in at least 80 bits, and
recompressed, halved, brightened or noisy copies in at most 16.
"""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from frcnn.console.progress import track
from frcnn.survey.images import content_of, opened
from frcnn.survey.tables import Tables

# Maximum number of different bits of two similar images, of HASH_SIDE squared.
HASH_SIDE = 16
SIMILAR_BITS = 32
# Size to which images are decoded for their hash, px; the hash itself uses 64 x 64.
_DECODED = 256
_BLOCK = 256


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """Groups of images that occur several times.

    Attributes:
        exact: Groups of images with identical files; each is a tuple of image indices, ascending.
        similar: Groups of images that look the same, except groups of identical files only.
        compared: Number of images that were compared for similarity.
    """

    exact: tuple[tuple[int, ...], ...]
    similar: tuple[tuple[int, ...], ...]
    compared: int


def find_duplicates(tables: Tables, most_compared: int) -> Duplicates:
    """Finds identical files among all images, and similar images among some or all of them.

    Args:
        tables: Survey of the data sets.
        most_compared: Maximum number of images to compare for similarity, evenly spaced; 0 for none.

    Returns:
        The groups.
    """
    usable = np.flatnonzero(tables.images["usable"])
    exact = _equal_files(tables, usable)
    if most_compared < 1:
        return Duplicates(exact, (), 0)
    step = max(1, -(-len(usable) // most_compared))
    numbers, hashes = _hashes(tables, usable[::step])
    first_of = {number: group[0] for group in exact for number in group}
    similar = tuple(
        group
        for group in _groups(_similar_pairs(numbers, hashes))
        if len({first_of.get(number, number) for number in group}) > 1
    )
    return Duplicates(exact, similar, len(numbers))


def _equal_files(tables: Tables, usable: np.ndarray) -> tuple[tuple[int, ...], ...]:
    sizes = tables.images["file_bytes"][usable]
    order = np.argsort(sizes, kind="stable")
    starts = np.flatnonzero(np.diff(sizes[order], prepend=-1))
    runs = [run for run in np.split(usable[order], starts[1:]) if len(run) > 1]
    candidates = [run for run in runs if tables.images["file_bytes"][run[0]]]
    by_content: defaultdict[bytes, list[int]] = defaultdict(list)
    for number in track([int(each) for run in candidates for each in run], "comparing files"):
        content = content_of(tables.place(number))
        if content is not None:
            by_content[hashlib.blake2b(content, digest_size=16).digest()].append(number)
    return tuple(sorted(tuple(sorted(group)) for group in by_content.values() if len(group) > 1))


def _hashes(tables: Tables, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns indices of the images that could be decoded, and their hashes, uint64 `[N, 4]`."""
    import imagehash

    numbers, words = [], []
    for number in track(chosen.tolist(), "comparing pictures"):
        content = content_of(tables.place(number))
        image = None if content is None else opened(content, _DECODED)
        if image is not None:
            bits = imagehash.phash(image.convert("L"), hash_size=HASH_SIDE).hash
            numbers.append(number)
            words.append(np.packbits(bits).view(np.uint64))
    width = HASH_SIDE * HASH_SIDE // 64
    return np.array(numbers, np.int64), np.array(words, np.uint64).reshape(-1, width)


def _similar_pairs(numbers: np.ndarray, hashes: np.ndarray) -> Iterable[tuple[int, int]]:
    """Yields pairs of similar images; every pair is compared, some rows at a time."""
    for start in range(0, len(hashes), _BLOCK):
        block = hashes[start : start + _BLOCK]
        rest = hashes[start:]
        distance = np.zeros((len(block), len(rest)), np.uint16)
        for word in range(hashes.shape[1]):
            distance += np.bitwise_count(block[:, word, None] ^ rest[None, :, word])
        for row, column in np.argwhere(distance <= SIMILAR_BITS).tolist():
            if column > row:
                yield int(numbers[start + row]), int(numbers[start + column])


def _groups(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Returns connected groups of images, sorted."""
    parent: dict[int, int] = {}

    def root(number: int) -> int:
        while parent.setdefault(number, number) != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    members: defaultdict[int, list[int]] = defaultdict(list)
    for number in sorted(parent):
        members[root(number)].append(number)
    return [tuple(group) for group in members.values() if len(group) > 1]


def across_folds(groups: Sequence[tuple[int, ...]], tables: Tables) -> list[tuple[int, ...]]:
    """Returns the groups with images in several folds.

    Args:
        groups: Groups of images.
        tables: Survey of the data sets.
    """
    folds = tables.images["fold"]
    return [group for group in groups if len(set(folds[list(group)].tolist())) > 1]
