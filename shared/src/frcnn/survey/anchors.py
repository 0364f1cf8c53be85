"""Measures how well anchors cover objects.

Overlaps are those of training: boxes with whole coordinates, widths that include the last pixel, and anchors
at the cells of the feature map. N objects.
"""

import dataclasses

import numpy as np

from frcnn.ops.anchor_shapes import anchor_sizes


@dataclasses.dataclass(frozen=True)
class Anchors:
    """Anchors of a spec: all combinations of scales and ratios.

    Attributes:
        scales: Square roots of the areas, px of the network input.
        ratios: Ratios of width to height.
    """

    scales: tuple[float, ...]
    ratios: tuple[float, ...]

    def __str__(self) -> str:
        """Returns scales and ratios for people."""
        scales, ratios = (", ".join(f"{value:g}" for value in part) for part in (self.scales, self.ratios))
        return f"scales {scales}; ratios {ratios}"

    def to_dict(self) -> dict[str, list[float]]:
        """Returns scales and ratios."""
        return {"scales": list(self.scales), "ratios": list(self.ratios)}


@dataclasses.dataclass
class Coverage:
    """Number of objects by the IoU of their best anchor.

    Attributes:
        full: Objects whose best anchor reaches `rpn_max_overlap`.
        partial: Objects whose best anchor reaches only `rpn_min_overlap`.
        missed: All other objects.
        iou_sum: Sum of the best IoU.
    """

    full: int = 0
    partial: int = 0
    missed: int = 0
    iou_sum: float = 0.0

    def add(self, best: np.ndarray, min_overlap: float, max_overlap: float) -> None:
        """Counts objects.

        Args:
            best: IoU of the best anchor of each object, `[N]`.
            min_overlap: `rpn_min_overlap`.
            max_overlap: `rpn_max_overlap`.
        """
        full = int(np.sum(best >= max_overlap))
        missed = int(np.sum(best < min_overlap))
        self.full += full
        self.missed += missed
        self.partial += len(best) - full - missed
        self.iou_sum += float(best.sum())

    @property
    def objects(self) -> int:
        """Number of objects."""
        return self.full + self.partial + self.missed

    @property
    def mean_iou(self) -> float:
        """Mean IoU of the best anchors; 0 without objects."""
        return self.iou_sum / max(1, self.objects)

    def to_dict(self) -> dict[str, float]:
        """Returns counts, shares and the mean IoU."""
        total = max(1, self.objects)
        return {
            "full": self.full,
            "partial": self.partial,
            "missed": self.missed,
            "full_share": self.full / total,
            "partial_share": self.partial / total,
            "missed_share": self.missed / total,
            "mean_iou": self.mean_iou,
        }


def best_iou(
    boxes: np.ndarray, sizes: np.ndarray, anchors: Anchors, stride: int = 16, *, inside_only: bool = False
) -> np.ndarray:
    """Computes the IoU of each object with its best anchor.

    Among anchors of the same shape, the one nearest to the object's center overlaps it most, so only that
    one is compared.

    Args:
        boxes: Boxes, `x1 y1 x2 y2` with whole coordinates in pixels of the network input, `[N, 4]`.
        sizes: Height and width of the network input of each object's image, px, `[N, 2]`.
        anchors: Anchors.
        stride: Pixels per cell.
        inside_only: Whether anchors that cross the border of the input do not count.

    Returns:
        IoU in 0..1, float64 `[N]`.
    """
    best = np.zeros(len(boxes))
    area = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    for width, height in anchor_sizes(anchors.scales, anchors.ratios).astype(float):
        across = _side_overlap(boxes[:, 0], boxes[:, 2], sizes[:, 1], width, stride, inside_only)
        down = _side_overlap(boxes[:, 1], boxes[:, 3], sizes[:, 0], height, stride, inside_only)
        shared = across * down
        best = np.maximum(best, shared / (area + (width + 1) * (height + 1) - shared))
    return best


def _side_overlap(
    low: np.ndarray, high: np.ndarray, limit: np.ndarray, side: float, stride: int, inside_only: bool
) -> np.ndarray:
    """Returns the overlap of an object's side with that of the nearest anchor, px; 0 without an anchor."""
    first = np.zeros_like(limit)
    last = np.ceil(limit / stride) - 1
    if inside_only:
        first = np.ceil((side / 2) / stride - 0.5)
        last = np.minimum(last, np.floor((limit - 1 - side / 2) / stride - 0.5))
    cell = np.clip(np.round((low + high) / 2 / stride - 0.5), first, np.maximum(first, last))
    center = stride * (cell + 0.5)
    overlap = np.minimum(high, center + side / 2) - np.maximum(low, center - side / 2) + 1
    return np.where(last >= first, np.maximum(overlap, 0.0), 0.0)
