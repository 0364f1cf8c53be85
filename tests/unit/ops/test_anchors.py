"""Anchors against golden numbers and the plain numpy implementation."""

import numpy as np
import pytest
import tensorflow as tf

from frcnn.ops.anchor_shapes import anchor_grid, anchor_sizes
from frcnn.ops.anchors import anchors_of_map
from tests.support import golden, reference_targets
from tests.support import reference_boxes as reference


def test_sizes_are_the_golden_ones_scales_outermost():
    sizes = anchor_sizes(golden.SCALES, golden.RATIOS)
    assert sizes.dtype == np.float32
    np.testing.assert_allclose(sizes, golden.ANCHOR_SIZES, rtol=1e-6)


def test_grid_has_the_golden_count_and_share_inside_the_image():
    anchors = anchor_grid(golden.ROWS, golden.COLUMNS, golden.SCALES, golden.RATIOS)
    assert anchors.shape == (17280, 4) and anchors.dtype == np.float32
    within = reference_targets.inside(anchors, golden.HEIGHT, golden.WIDTH)
    assert within.sum() == golden.ANCHORS_INSIDE


def test_first_anchors_are_worked_by_hand():
    # Cell (0, 0) has its center at (8, 8), cell (0, 1) at (8, 24); two ratios per cell.
    anchors = anchor_grid(1, 2, [8.0], [1.0, 4.0])
    expected = [[4, 4, 12, 12], [6, 0, 10, 16], [4, 20, 12, 28], [6, 16, 10, 32]]
    np.testing.assert_array_equal(anchors, expected)


@pytest.mark.parametrize(("rows", "columns", "stride"), [(3, 5, 16), (1, 1, 16), (4, 2, 8)])
def test_grid_agrees_with_numpy(rows, columns, stride):
    anchors = anchor_grid(rows, columns, [32.0, 100.0], [0.3, 1.0, 3.0], stride=stride)
    expected = reference.anchor_grid(rows, columns, [32.0, 100.0], [0.3, 1.0, 3.0], stride)
    np.testing.assert_allclose(anchors, expected, rtol=1e-6, atol=1e-4)


def test_areas_do_not_depend_on_the_ratio():
    sizes = anchor_sizes([50.0], [0.2, 0.5, 1.0, 2.0, 5.0])
    np.testing.assert_allclose(sizes.prod(axis=1), 2500.0, rtol=1e-5)
    np.testing.assert_allclose(sizes[:, 0] / sizes[:, 1], [0.2, 0.5, 1.0, 2.0, 5.0], rtol=1e-5)


@pytest.mark.parametrize(("rows", "columns"), [(3, 5), (1, 1), (24, 78)])
def test_a_map_whose_size_comes_late_has_the_same_anchors(rows, columns):
    signature = [tf.TensorSpec([], tf.int32)] * 2
    late = tf.function(
        lambda h, w: anchors_of_map(h, w, golden.SCALES, golden.RATIOS), input_signature=signature
    )
    np.testing.assert_array_equal(
        late(rows, columns), anchor_grid(rows, columns, golden.SCALES, golden.RATIOS)
    )
