"""IoU and clipping against hand-worked numbers and the plain numpy implementation."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from frcnn.ops.boxes import clip_boxes, iou_matrix
from tests.support import draw
from tests.support import reference_boxes as reference
from tests.support.graph import compiled, static_shapes


@pytest.mark.parametrize(
    ("box", "other", "expected"),
    [
        ((0, 0, 9, 9), (5, 5, 14, 14), 25 / 175),
        ((0, 0, 9, 9), (0, 0, 9, 9), 1.0),
        ((0, 0, 9, 9), (0, 10, 9, 19), 0.0),
        # Neighbors share a column of ten pixels, which has no width without the +1.
        ((0, 0, 9, 9), (0, 9, 9, 18), 10 / 190),
    ],
)
def test_iou_of_two_boxes_worked_by_hand(box, other, expected):
    overlap = iou_matrix(np.float32([box]), np.float32([other]))
    np.testing.assert_allclose(overlap, [[expected]], rtol=1e-6)


@given(
    boxes=st.lists(draw.whole_boxes(60, 80, smallest=0), min_size=3, max_size=3),
    others=st.lists(draw.whole_boxes(60, 80, smallest=0), min_size=2, max_size=2),
)
@settings(max_examples=40, deadline=None)
def test_iou_agrees_with_numpy_even_for_flat_boxes(boxes, others):
    overlaps = iou_matrix(np.float32(boxes), np.float32(others))
    expected = [[reference.iou(a, b, inclusive=True) for b in others] for a in boxes]
    np.testing.assert_allclose(overlaps, expected, rtol=1e-6)


@given(boxes=st.lists(draw.whole_boxes(60, 80), min_size=4, max_size=4))
@settings(max_examples=25, deadline=None)
def test_iou_is_symmetric_within_0_and_1_and_1_with_itself(boxes):
    overlaps = np.asarray(iou_matrix(np.float32(boxes), np.float32(boxes)))
    np.testing.assert_array_equal(overlaps, overlaps.T)
    np.testing.assert_allclose(np.diag(overlaps), 1.0, rtol=1e-6)
    assert overlaps.min() >= 0.0 and overlaps.max() <= 1.0 + 1e-6


def test_iou_of_a_batch_is_the_stack_of_its_images():
    rng = np.random.default_rng(0)
    boxes = np.stack([draw.random_boxes(rng, 7, 100, 120) for _ in range(3)])
    others = np.stack([draw.random_boxes(rng, 5, 100, 120) for _ in range(3)])
    batched = iou_matrix(boxes, others)
    single = [iou_matrix(a, b) for a, b in zip(boxes, others, strict=True)]
    np.testing.assert_array_equal(batched, np.stack(single))


def test_iou_accepts_no_boxes():
    assert iou_matrix(np.zeros((0, 4), np.float32), np.float32([[0, 0, 1, 1]])).shape == (
        0,
        1,
    )


def test_clip_moves_corners_to_the_border_pixels():
    boxes = np.float32([[-5, -7, 500, 900], [3, 4, 5, 6], [400, 1300, 410, 1310]])
    clipped = clip_boxes(boxes, 384, 1248)
    np.testing.assert_array_equal(clipped, [[0, 0, 383, 900], [3, 4, 5, 6], [383, 1247, 383, 1247]])


@given(seed=draw.seeds)
@settings(max_examples=10, deadline=None)
def test_clip_agrees_with_numpy_and_is_idempotent(seed):
    boxes = np.random.default_rng(seed).normal(50, 80, (2, 9, 4)).astype(np.float32)
    clipped = clip_boxes(boxes, 96, 128)
    np.testing.assert_array_equal(clipped, reference.clip(boxes, 96, 128))
    np.testing.assert_array_equal(clip_boxes(clipped, 96, 128), clipped)


def test_graph_mode_agrees_with_eager_and_shapes_are_static():
    rng = np.random.default_rng(1)
    boxes, others = draw.random_boxes(rng, 6, 100, 120)[None], draw.random_boxes(rng, 4, 100, 120)[None]

    def overlap(a, b):
        return iou_matrix(a, b)

    np.testing.assert_array_equal(compiled(overlap, boxes, others), overlap(boxes, others))
    assert static_shapes(overlap, boxes, others) == [(1, 6, 4)]


@pytest.mark.parametrize("between", [(), (3,)])
def test_images_of_their_own_sizes_are_clipped_each_at_its_own_border(between):
    boxes = np.random.default_rng(2).normal(50, 80, (2, 9, *between, 4)).astype(np.float32)
    clipped = clip_boxes(boxes, tf.constant([96, 60]), tf.constant([70, 128]))
    for image, size in enumerate([(96, 70), (60, 128)]):
        np.testing.assert_array_equal(clipped[image], reference.clip(boxes[image], *size))
