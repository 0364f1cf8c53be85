"""Random boxes for property tests: hypothesis strategies and padding to static shapes."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

Boxes = NDArray[np.float32]

seeds = st.integers(0, 2**31 - 1)


def whole_boxes(
    height: int, width: int, *, smallest: int = 1
) -> st.SearchStrategy[tuple[int, int, int, int]]:
    """Boxes yxyx with whole coordinates inside the image, sides (x2 - x1) of at least `smallest` px."""

    def interval(length: int) -> st.SearchStrategy[tuple[int, int]]:
        starts = st.integers(0, length - 1 - smallest)
        return starts.flatmap(lambda a: st.tuples(st.just(a), st.integers(a + smallest, length - 1)))

    pairs = st.tuples(interval(height), interval(width))
    return pairs.map(lambda pair: (pair[0][0], pair[1][0], pair[0][1], pair[1][1]))


def random_boxes(
    rng: np.random.Generator, count: int, height: float, width: float, *, sides: tuple[float, float] = (4, 60)
) -> Boxes:
    """`count` boxes yxyx [count, 4] with fractional corners inside the image."""
    h = rng.uniform(*sides, count)
    w = rng.uniform(*sides, count)
    y, x = rng.uniform(0, height - 1 - h), rng.uniform(0, width - 1 - w)
    return np.stack([y, x, y + h, x + w], axis=1).astype(np.float32)


def pad(images: Sequence[ArrayLike], size: int) -> tuple[Boxes, NDArray[np.bool_]]:
    """Boxes [B, size, 4] and valid [B, size] of B images with differing numbers of boxes; padding is zero."""
    boxes = np.zeros((len(images), size, 4), np.float32)
    valid = np.zeros((len(images), size), bool)
    for row, found in enumerate(images):
        array = np.reshape(np.asarray(found, np.float32), (-1, 4))
        boxes[row, : len(array)] = array
        valid[row, : len(array)] = True
    return boxes, valid
