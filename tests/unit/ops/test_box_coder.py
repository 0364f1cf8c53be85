"""Box codes against golden numbers, hand-worked numbers and the plain numpy implementation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frcnn.ops.anchor_shapes import anchor_grid
from frcnn.ops.box_coder import decode, encode
from tests.support import draw, golden
from tests.support import reference_boxes as reference
from tests.support.graph import compiled, static_shapes


def test_codes_of_the_small_objects_are_the_golden_ones():
    anchors = anchor_grid(golden.ROWS, golden.COLUMNS, golden.SCALES, golden.RATIOS)
    for index, expected in golden.SMALL_CODES.items():
        anchor = anchors[golden.SMALL_RESCUERS[index]]
        codes = encode(np.float32([golden.SMALL_BOXES[index]]), anchor[None], inclusive=True)
        np.testing.assert_allclose(codes, [expected], atol=1e-5)


def test_codes_of_rois_are_the_golden_ones():
    codes = encode(np.float32(golden.ROI_GT[:2]), np.float32(golden.ROIS[:2]), inclusive=True)
    np.testing.assert_allclose(codes * np.float32(golden.ROI_WEIGHTS), golden.ROI_CODES, atol=2e-6)


def test_encode_matches_a_hand_worked_case():
    # Reference: 10 wide, 20 high, center x 5, y 10. Box: 20 wide, 20 high, center x 10, y 14.
    codes = encode(np.float32([[4, 0, 24, 20]]), np.float32([[0, 0, 20, 10]]), inclusive=False)
    np.testing.assert_allclose(codes, [[5 / 10, 4 / 20, np.log(2.0), 0.0]], rtol=1e-6)


def test_inclusive_encode_adds_a_pixel_to_each_side():
    # 10 x 20 pixels counted with their borders, and a box twice as wide with the same first corner.
    codes = encode(np.float32([[0, 0, 19, 19]]), np.float32([[0, 0, 19, 9]]), inclusive=True)
    np.testing.assert_allclose(codes, [[0.5, 0.0, np.log(2.0), 0.0]], rtol=1e-6, atol=1e-7)


def test_decode_matches_a_hand_worked_case():
    code = np.float32([[0.5, 0.2, np.log(2.0), 0.0]])
    boxes = decode(code, np.float32([[0, 0, 20, 10]]), inclusive=False)
    np.testing.assert_allclose(boxes, [[4, 0, 24, 20]], atol=1e-5)


def test_inclusive_decode_leaves_the_far_corner_one_pixel_out():
    # x2 = cx + w / 2 with w counted inclusively: a zero code gives x2 + 1 (docs/conventions.md).
    boxes = decode(np.zeros((1, 4), np.float32), np.float32([[3, 5, 10, 20]]), inclusive=True)
    np.testing.assert_allclose(boxes, [[3, 5, 11, 21]], rtol=1e-6)


def test_decode_does_not_clamp_large_sizes():
    # exp(6) is beyond the usual limit of 1000 / 16.
    boxes = decode(np.float32([[0, 0, 6, 0]]), np.float32([[0, 0, 10, 10]]), inclusive=False)
    width = 10 * np.exp(6.0)
    np.testing.assert_allclose(boxes, [[0, 5 - width / 2, 10, 5 + width / 2]], rtol=1e-5)


box_lists = st.lists(draw.whole_boxes(200, 300), min_size=3, max_size=3)


@pytest.mark.parametrize("inclusive", [True, False])
@given(boxes=box_lists, references=box_lists)
@settings(max_examples=25, deadline=None)
def test_encode_agrees_with_numpy(inclusive, boxes, references):
    codes = encode(np.float32(boxes), np.float32(references), inclusive=inclusive)
    pairs = zip(boxes, references, strict=True)
    expected = [reference.encode(box, other, inclusive=inclusive) for box, other in pairs]
    np.testing.assert_allclose(codes, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("inclusive", [True, False])
@given(seed=draw.seeds, references=box_lists)
@settings(max_examples=25, deadline=None)
def test_decode_agrees_with_numpy(inclusive, seed, references):
    codes = np.random.default_rng(seed).normal(0, 1, (3, 4)).astype(np.float32)
    boxes = decode(codes, np.float32(references), inclusive=inclusive)
    pairs = zip(codes, references, strict=True)
    expected = [reference.decode(code, other, inclusive=inclusive) for code, other in pairs]
    np.testing.assert_allclose(boxes, expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(("inclusive", "far"), [(True, 1.0), (False, 0.0)])
@given(boxes=box_lists, references=box_lists)
@settings(max_examples=25, deadline=None)
def test_decode_undoes_encode_up_to_the_far_corner(inclusive, far, boxes, references):
    targets = np.float32(references)
    again = decode(encode(np.float32(boxes), targets, inclusive=inclusive), targets, inclusive=inclusive)
    np.testing.assert_allclose(again, np.float32(boxes) + np.float32([0, 0, far, far]), atol=0.02)


def test_leading_batch_axes_are_kept():
    rng = np.random.default_rng(3)
    boxes = np.stack([draw.random_boxes(rng, 5, 90, 90) for _ in range(2)])
    others = np.stack([draw.random_boxes(rng, 5, 90, 90) for _ in range(2)])
    for function in (encode, decode):
        batched = function(boxes, others, inclusive=True)
        single = [function(a, b, inclusive=True) for a, b in zip(boxes, others, strict=True)]
        np.testing.assert_allclose(batched, np.stack(single), rtol=1e-5, atol=1e-5)


def test_graph_mode_agrees_with_eager_and_shapes_are_static():
    rng = np.random.default_rng(4)
    pair = draw.random_boxes(rng, 5, 90, 90), draw.random_boxes(rng, 5, 90, 90)

    def codes(boxes, others):
        return encode(boxes, others, inclusive=False)

    np.testing.assert_allclose(compiled(codes, *pair), codes(*pair), rtol=1e-6, atol=1e-7)
    assert static_shapes(codes, *pair) == [(5, 4)]
