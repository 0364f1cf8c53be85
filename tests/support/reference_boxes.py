"""Plain numpy boxes, anchors and codes: a second implementation to compare the library with.

Written from the definitions in docs/conventions.md, independently of the library.
float64 and loops: slow and plain on purpose. Boxes are `yxyx` pixels; codes are (dx, dy, dw, dh). One image
at a time, no batch.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def area(box: ArrayLike, *, inclusive: bool) -> float:
    """Area of one box, px^2. Inclusive counts both border pixels (+1); otherwise a flat box has area 0."""
    y1, x1, y2, x2 = np.asarray(box, np.float64)
    one = 1.0 if inclusive else 0.0
    return float(max(y2 - y1 + one, 0.0) * max(x2 - x1 + one, 0.0))


def iou(box: ArrayLike, other: ArrayLike, *, inclusive: bool) -> float:
    """Intersection over union of two boxes, 0 where the union is empty."""
    a, b = np.asarray(box, np.float64), np.asarray(other, np.float64)
    overlap = (max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    intersection = area(overlap, inclusive=inclusive)
    union = area(a, inclusive=inclusive) + area(b, inclusive=inclusive) - intersection
    return intersection / union if union > 0.0 else 0.0


def iou_matrix(boxes: ArrayLike, others: ArrayLike, *, inclusive: bool) -> Array:
    """IoU [N, M] of boxes [N, 4] with others [M, 4]; either may be empty. By columns, for speed."""
    a = np.reshape(np.asarray(boxes, np.float64), (-1, 4))
    one = 1.0 if inclusive else 0.0
    columns = []
    for b in np.reshape(np.asarray(others, np.float64), (-1, 4)):
        height = np.minimum(a[:, 2], b[2]) - np.maximum(a[:, 0], b[0]) + one
        width = np.minimum(a[:, 3], b[3]) - np.maximum(a[:, 1], b[1]) + one
        intersection = np.maximum(height, 0.0) * np.maximum(width, 0.0)
        areas = (a[:, 2] - a[:, 0] + one) * (a[:, 3] - a[:, 1] + one)
        union = areas + area(b, inclusive=inclusive) - intersection
        columns.append(np.where(union > 0.0, intersection / np.where(union > 0.0, union, 1.0), 0.0))
    return np.stack(columns, axis=1) if columns else np.zeros((len(a), 0))


def clip(boxes: ArrayLike, height: float, width: float) -> Array:
    """Boxes [N, 4] moved into [0, height - 1] x [0, width - 1]."""
    limits = np.array([height - 1, width - 1, height - 1, width - 1], np.float64)
    return np.clip(np.asarray(boxes, np.float64), 0.0, limits)


def anchor_sizes(scales: list[float], ratios: list[float]) -> Array:
    """(width, height) of each anchor [A, 2], scales outermost. Ratio is width / height."""
    sizes = [(s * math.sqrt(r), s / math.sqrt(r)) for s in scales for r in ratios]
    return np.array(sizes, np.float64)


def anchor_grid(rows: int, columns: int, scales: list[float], ratios: list[float], stride: int = 16) -> Array:
    """All anchors [rows * columns * A, 4], in the order row, column, anchor."""
    anchors = []
    for row in range(rows):
        for column in range(columns):
            y, x = stride * (row + 0.5), stride * (column + 0.5)
            for w, h in anchor_sizes(scales, ratios):
                anchors.append((y - h / 2, x - w / 2, y + h / 2, x + w / 2))
    return np.array(anchors, np.float64)


def encode(box: ArrayLike, reference: ArrayLike, *, inclusive: bool) -> Array:
    """The code [4] that moves `reference` onto `box`."""
    x, y, w, h = _center_and_size(box, inclusive=inclusive)
    rx, ry, rw, rh = _center_and_size(reference, inclusive=inclusive)
    return np.array([(x - rx) / rw, (y - ry) / rh, math.log(w / rw), math.log(h / rh)])


def decode(code: ArrayLike, reference: ArrayLike, *, inclusive: bool) -> Array:
    """The box [4] that `code` makes of `reference`: center -/+ half the size, nothing clamped.

    Inclusive widths go in with +1 but nothing is subtracted at the end (x2 = cx + w / 2).
    """
    dx, dy, dw, dh = np.asarray(code, np.float64)
    rx, ry, rw, rh = _center_and_size(reference, inclusive=inclusive)
    x, y, w, h = rx + dx * rw, ry + dy * rh, rw * math.exp(dw), rh * math.exp(dh)
    return np.array([y - h / 2, x - w / 2, y + h / 2, x + w / 2])


def _center_and_size(box: ArrayLike, *, inclusive: bool) -> tuple[float, float, float, float]:
    y1, x1, y2, x2 = (float(value) for value in np.asarray(box, np.float64))
    one = 1.0 if inclusive else 0.0
    w, h = x2 - x1 + one, y2 - y1 + one
    return x1 + w / 2, y1 + h / 2, w, h
