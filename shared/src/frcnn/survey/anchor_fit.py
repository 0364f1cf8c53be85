"""Fits anchors to the objects of a data set. N objects, A anchors per cell."""

import math

import numpy as np

from frcnn.survey.anchors import Anchors, best_iou

# Ratios of anchors stay within this range of width to height, and its inverse.
_WIDEST = 8.0
_RATIOS = 3
# Numbers of scales to try, and the gain of mean IoU that one more is worth.
MIN_SCALES, MAX_SCALES = 3, 5
WORTH_A_SCALE = 0.015
# Scales and ratios that differ by less than 8 % are merged: such anchors have an IoU above 0.9.
_SAME = math.log(1.08)
_ROUNDS = 40
_STARTS = 6
_SEED = 42


def fit_anchors(
    boxes: np.ndarray, sizes: np.ndarray, weights: np.ndarray, scales: int, stride: int = 16
) -> Anchors:
    """Fits anchors to objects by k-means on IoU, with centers tied to a grid of scales and ratios.

    A spec has scales and ratios whose combinations are the anchors, so free cluster centers could not be
    written into it. Each object is assigned to the anchor of highest IoU (shapes only). Then each scale
    becomes the geometric mean of the objects assigned to it, and each ratio likewise. Of several starts, the
    one that covers the objects best wins.

    Args:
        boxes: Boxes, `x1 y1 x2 y2` in pixels of the network input, `[N, 4]`, at least one.
        sizes: Height and width of the network input of each object's image, px, `[N, 2]`.
        weights: Weight of each object, `[N]`; see `class_weights`.
        scales: Number of scales.
        stride: Pixels per cell.

    Returns:
        Anchors with whole scales and ratios of two digits, ascending; fewer if some are close together.
    """
    sides = boxes[:, 2:] - boxes[:, :2] + 1.0
    scale, ratio = np.log(np.sqrt(sides.prod(axis=1))), np.log(sides[:, 0] / sides[:, 1])
    ratio = np.clip(ratio, -math.log(_WIDEST), math.log(_WIDEST))
    random = np.random.default_rng(_SEED)
    best, most = Anchors((1.0,), (1.0,)), -1.0
    for start in range(_STARTS):
        centers = _starts(scale, ratio, scales, start, random)
        found = _rounded(*_k_means(scale, ratio, weights, *centers))
        score = float(np.average(best_iou(np.round(boxes), sizes, found, stride), weights=weights))
        if score > most + 1e-9:
            best, most = found, score
    return best


def class_weights(labels: np.ndarray) -> np.ndarray:
    """Returns weights with which a class counts as the square root of its number of objects.

    Without weights, the anchors follow the most frequent class; with equal totals, a few wrong labels of a
    rare class would count as much as all others.

    Args:
        labels: Class index of each object, `[N]`.

    Returns:
        Weights, float64 `[N]`.
    """
    counts = np.bincount(labels, minlength=1)
    weights: np.ndarray = 1.0 / np.sqrt(counts[labels])
    return weights


def fit_enough(
    boxes: np.ndarray, sizes: np.ndarray, weights: np.ndarray, stride: int = 16, inside_only: bool = False
) -> Anchors:
    """Fits anchors with as few scales as suffice: 3 to 5, more only for a gain of mean IoU.

    Args:
        boxes: Boxes, `x1 y1 x2 y2` with whole coordinates in pixels of the network input, `[N, 4]`.
        sizes: Height and width of the network input of each object's image, px, `[N, 2]`.
        weights: Weight of each object, `[N]`.
        stride: Pixels per cell.
        inside_only: Whether anchors that cross the border of the input do not count.

    Returns:
        The anchors.
    """
    chosen, reached = Anchors((), ()), -1.0
    for count in range(MIN_SCALES, MAX_SCALES + 1):
        found = fit_anchors(boxes, sizes, weights, count, stride=stride)
        best = best_iou(boxes, sizes, found, stride, inside_only=inside_only)
        score = float(np.average(best, weights=weights))
        if score < reached + WORTH_A_SCALE:
            break
        chosen, reached = found, score
    return chosen


def _starts(
    scale: np.ndarray, ratio: np.ndarray, scales: int, start: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns initial centers: quantiles at the first start, random objects afterwards."""
    if start == 0:
        return (
            np.quantile(scale, (np.arange(scales) + 0.5) / scales),
            np.quantile(ratio, (np.arange(_RATIOS) + 0.5) / _RATIOS),
        )
    return random.choice(scale, scales), random.choice(ratio, _RATIOS)


def _k_means(
    scale: np.ndarray, ratio: np.ndarray, weights: np.ndarray, scales: np.ndarray, ratios: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns centers of log scale and log ratio."""
    scales, ratios = scales.copy(), ratios.copy()
    former = None
    for _ in range(_ROUNDS):
        grid_scale, grid_ratio = (each.ravel() for each in np.meshgrid(scales, ratios, indexing="ij"))
        assigned = np.argmax(_shape_iou(scale, ratio, grid_scale, grid_ratio), axis=1)
        if former is not None and np.array_equal(assigned, former):
            break
        former = assigned
        for centers, values, which in (
            (scales, scale, assigned // len(ratios)),
            (ratios, ratio, assigned % len(ratios)),
        ):
            for number in range(len(centers)):
                members = which == number
                if members.any():
                    centers[number] = np.average(values[members], weights=weights[members])
    return scales, ratios


def _shape_iou(
    scale: np.ndarray, ratio: np.ndarray, centers_scale: np.ndarray, centers_ratio: np.ndarray
) -> np.ndarray:
    """Returns the IoU of boxes with centers at the same place, `[N, A]`; all arguments are logarithms."""
    width, height = np.exp(scale + ratio / 2)[:, None], np.exp(scale - ratio / 2)[:, None]
    wide, high = np.exp(centers_scale + centers_ratio / 2), np.exp(centers_scale - centers_ratio / 2)
    shared = np.minimum(width, wide) * np.minimum(height, high)
    iou: np.ndarray = shared / (width * height + wide * high - shared)
    return iou


def _rounded(scales: np.ndarray, ratios: np.ndarray) -> Anchors:
    whole = {float(max(1, round(math.exp(value)))) for value in _distinct(scales)}
    short = {max(0.05, round(math.exp(value), 2)) for value in _distinct(ratios)}
    return Anchors(tuple(sorted(whole)), tuple(sorted(short)))


def _distinct(logarithms: np.ndarray) -> list[float]:
    """Merges values that are so close that their anchors would find the same objects."""
    groups: list[list[float]] = []
    for value in sorted(logarithms.tolist()):
        if groups and value - groups[-1][0] < _SAME:
            groups[-1].append(value)
        else:
            groups.append([value])
    return [sum(group) / len(group) for group in groups]
