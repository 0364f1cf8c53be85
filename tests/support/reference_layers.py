"""Plain numpy RoI pooling and 3x3 convolution: a second implementation, independent of the library."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

BORDER = 1.0 - 1e-6
"""Largest normalized coordinate: rounding must not push a sample off the map (architecture decision 9)."""


def crop_and_resize(features: ArrayLike, rois: ArrayLike, *, height: float, width: float, size: int) -> Array:
    """Crops [R, size, size, C] of a map [h, w, C] at rois [R, 4] px of a height x width image.

    Source: docs/conventions.md.

    Sample i of a side lies at y1 + i (y2 - y1) / (size - 1) on the map; a sample off the map is 0.
    """
    maps = np.asarray(features, np.float64)
    rows, columns, channels = maps.shape
    boxes = np.reshape(np.asarray(rois, np.float64), (-1, 4))
    crops = np.zeros((len(boxes), size, size, channels))
    for r, (y1, x1, y2, x2) in enumerate(boxes):
        ys = _samples(y1, y2, height, rows, size)
        xs = _samples(x1, x2, width, columns, size)
        for i, y in enumerate(ys):
            for j, x in enumerate(xs):
                if 0.0 <= y <= rows - 1 and 0.0 <= x <= columns - 1:
                    crops[r, i, j] = _bilinear(maps, y, x)
    return crops


def convolve_3x3(x: ArrayLike, kernel: ArrayLike) -> Array:
    """3x3 convolution, stride 1, zero padding 1: x [N, h, w, C], kernel [3, 3, C, K] -> [N, h, w, K]."""
    maps, weights = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    n, rows, columns, _ = maps.shape
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)))
    result = np.zeros((n, rows, columns, weights.shape[3]))
    for i in range(3):
        for j in range(3):
            result += padded[:, i : i + rows, j : j + columns] @ weights[i, j]
    return result


def _samples(start: float, end: float, side: float, cells: int, size: int) -> list[float]:
    a, b = min(start / (side - 1), BORDER), min(end / (side - 1), BORDER)
    return [(a + i * (b - a) / (size - 1)) * (cells - 1) for i in range(size)]


def _bilinear(maps: Array, y: float, x: float) -> Array:
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, maps.shape[0] - 1), min(left + 1, maps.shape[1] - 1)
    v, u = y - top, x - left
    upper = maps[top, left] * (1 - u) + maps[top, right] * u
    lower = maps[bottom, left] * (1 - u) + maps[bottom, right] * u
    return upper * (1 - v) + lower * v
