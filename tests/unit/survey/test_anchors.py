"""Coverage against all anchors of a feature map, and fits of planted anchors."""

import numpy as np
import pytest

from frcnn.ops.anchor_shapes import anchor_grid
from frcnn.survey.anchor_fit import class_weights, fit_anchors, fit_enough
from frcnn.survey.anchors import Anchors, Coverage, best_iou

ANCHORS = Anchors((24.0, 56.0, 112.0), (1.0, 0.5, 2.0))


def random_boxes(count, height, width, seed=0):
    random = np.random.default_rng(seed)
    corners = np.sort(random.integers(0, [[height], [width]], (count, 2, 2)), axis=2)
    y, x = corners[:, 0], corners[:, 1]
    boxes = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1).astype(float)
    return boxes[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])]


def by_brute_force(boxes, height, width, anchors, inside_only):
    """The IoU of each box with each anchor, one by one, as the training targets define it."""
    rows, columns = -(-height // 16), -(-width // 16)
    grid = anchor_grid(rows, columns, anchors.scales, anchors.ratios).astype(float)
    if inside_only:
        grid = grid[(grid[:, :2] >= 0).all(1) & (grid[:, 2] <= height - 1) & (grid[:, 3] <= width - 1)]
    best = np.zeros(len(boxes))
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        down = np.minimum(y2, grid[:, 2]) - np.maximum(y1, grid[:, 0]) + 1
        across = np.minimum(x2, grid[:, 3]) - np.maximum(x1, grid[:, 1]) + 1
        shared = np.maximum(down, 0) * np.maximum(across, 0)
        areas = (grid[:, 2] - grid[:, 0] + 1) * (grid[:, 3] - grid[:, 1] + 1)
        best[number] = max(shared / ((x2 - x1 + 1) * (y2 - y1 + 1) + areas - shared), default=0.0)
    return best


@pytest.mark.parametrize("inside_only", [False, True])
@pytest.mark.parametrize(("height", "width"), [(288, 384), (100, 333)])
def test_the_best_anchor_of_each_shape_is_the_best_of_all(height, width, inside_only):
    boxes = random_boxes(300, height, width)
    sizes = np.broadcast_to(np.array([height, width], float), (len(boxes), 2))
    found = best_iou(boxes, sizes, ANCHORS, inside_only=inside_only)
    np.testing.assert_allclose(found, by_brute_force(boxes, height, width, ANCHORS, inside_only), atol=1e-6)


def test_coverage_counts_at_both_limits():
    coverage = Coverage()
    coverage.add(np.array([0.7, 0.69, 0.3, 0.29, 1.0]), 0.3, 0.7)
    assert (coverage.full, coverage.partial, coverage.missed) == (2, 2, 1)
    assert coverage.mean_iou == pytest.approx(0.596)


def planted(scales, ratios, count=300):
    """Boxes whose shapes are those of a grid of anchors, with a little noise, around the cells' centers."""
    random = np.random.default_rng(1)
    scale = random.choice(scales, count) * random.uniform(0.97, 1.03, count)
    ratio = random.choice(ratios, count) * random.uniform(0.97, 1.03, count)
    sides = np.stack([scale * np.sqrt(ratio), scale / np.sqrt(ratio)], axis=1)
    centers = 16 * (random.integers(8, 16, (count, 2)) + 0.5)
    return np.concatenate([centers - sides / 2, centers + sides / 2 - 1], axis=1)


def test_the_fit_finds_planted_scales_and_ratios():
    boxes = planted((30.0, 80.0, 180.0), (0.5, 1.0, 2.0))
    sizes = np.full((len(boxes), 2), 384.0)
    found = fit_anchors(boxes, sizes, np.ones(len(boxes)), scales=3)
    np.testing.assert_allclose(found.scales, (30, 80, 180), rtol=0.03)
    np.testing.assert_allclose(found.ratios, (0.5, 1.0, 2.0), rtol=0.03)


def test_more_scales_are_taken_only_if_they_help():
    few = planted((30.0, 80.0, 180.0), (0.5, 1.0, 2.0))
    many = planted((16.0, 34.0, 72.0, 150.0, 310.0), (1.0,))
    for boxes, count in ((few, 3), (many, 5)):
        sizes = np.full((len(boxes), 2), 384.0)
        assert len(fit_enough(np.round(boxes), sizes, np.ones(len(boxes))).scales) == count


def test_fits_repeat_exactly():
    boxes = planted((30.0, 80.0), (1.0, 2.0))
    sizes = np.full((len(boxes), 2), 384.0)
    first, second = (fit_enough(boxes, sizes, np.ones(len(boxes))) for _ in range(2))
    assert first == second


def test_one_object_gives_anchors_of_its_shape():
    box, size = np.array([[100.0, 100.0, 149.0, 124.0]]), np.array([[384.0, 384.0]])
    found = fit_anchors(box, size, np.ones(1), scales=3)
    assert found.ratios == (2.0,)
    np.testing.assert_allclose(found.scales, (35,), atol=1)


def test_a_class_weighs_as_the_root_of_its_objects():
    weights = class_weights(np.array([0] * 100 + [1] * 4))
    assert weights[:100].sum() == pytest.approx(10)
    assert weights[100:].sum() == pytest.approx(2)
