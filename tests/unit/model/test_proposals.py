"""Proposals against hand-worked cases and the plain numpy implementation; ties and emptiness above all."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings

from frcnn.model.proposals import generate_proposals, without_padding
from tests.support import draw, reference_boxes
from tests.support import reference_proposals as reference
from tests.support.graph import compiled, static_shapes

ROWS, COLUMNS, KINDS = 5, 7, 4
HEIGHT, WIDTH = 80, 112
ANCHORS = reference_boxes.anchor_grid(ROWS, COLUMNS, [24.0, 48.0], [1.0, 2.0]).astype(np.float32)
SETTINGS = {"height": HEIGHT, "width": WIDTH, "pre_nms": 90, "post_nms": 20, "iou_threshold": 0.7}


def random_heads(seed: int, batch: int = 1, levels: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores [B, h, w, A] (all different, or of `levels` values) and codes [B, h, w, 4A]."""
    rng = np.random.default_rng(seed)
    shape = batch, ROWS, COLUMNS, KINDS
    scores = rng.permutation(np.prod(shape)).reshape(shape) / np.prod(shape)
    if levels:
        scores = np.floor(scores * levels) / levels
    return scores.astype(np.float32), rng.normal(0, 0.4, (*shape[:3], 4 * KINDS)).astype(np.float32)


def check(scores, codes, anchors=ANCHORS, **changes) -> None:
    """Every image's proposals are those of numpy, padded with zeros to the static size."""
    options = {**SETTINGS, **changes}
    found = generate_proposals(scores, codes, anchors, **options)
    boxes, valid = np.asarray(found.boxes), np.asarray(found.valid)
    assert boxes.shape == (len(scores), options["post_nms"], 4) and valid.shape == boxes.shape[:2]
    for image in range(len(scores)):
        expected = reference.proposals(scores[image], codes[image], anchors, **options)
        count = len(expected)
        np.testing.assert_array_equal(valid[image], np.arange(options["post_nms"]) < count)
        np.testing.assert_allclose(boxes[image, :count], expected, atol=1e-3)
        np.testing.assert_array_equal(boxes[image, count:], 0.0)


def single_cells(boxes) -> np.ndarray:
    """Anchors given one by one; how many stand in a cell is up to the scores' shape."""
    return np.float32(boxes).reshape(-1, 4)


@given(seed=draw.seeds)
@settings(max_examples=8, deadline=None)
def test_proposals_agree_with_numpy(seed):
    check(*random_heads(seed, batch=2))


@pytest.mark.parametrize("levels", [1, 2, 5])
@given(seed=draw.seeds)
@settings(max_examples=4, deadline=None)
def test_tied_scores_keep_the_order_anchor_row_column(levels, seed):
    check(*random_heads(seed, batch=1, levels=levels))


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_saturated_scores_are_not_dropped_and_tie_in_order(level):
    scores, codes = random_heads(1)
    check(np.full_like(scores, level), codes)


def test_tie_order_of_two_anchor_kinds_is_worked_by_hand():
    # One row, two columns, two kinds, no overlap; stored column by column, proposed kind by kind.
    stored = single_cells([[0, 0, 9, 9], [20, 0, 29, 9], [0, 20, 9, 29], [20, 20, 29, 29]])
    found = generate_proposals(
        np.full((1, 1, 2, 2), 0.5, np.float32), np.zeros((1, 1, 2, 8), np.float32), stored, **SETTINGS
    )
    np.testing.assert_allclose(np.asarray(found.boxes)[0, :4], stored[[0, 2, 1, 3]], atol=1e-5)


def test_boxes_at_the_overlap_threshold_stay():
    # IoU without +1 is exactly 0.5; with +1 it would be 0.545.
    stored = single_cells([[0, 0, 10, 10], [0, 0, 10, 5]])
    scores = np.float32([0.9, 0.8]).reshape(1, 1, 2, 1)
    codes = np.zeros((1, 1, 2, 4), np.float32)
    kept = generate_proposals(scores, codes, stored, **{**SETTINGS, "iou_threshold": 0.5})
    assert np.asarray(kept.valid).sum() == 2
    fewer = generate_proposals(scores, codes, stored, **{**SETTINGS, "iou_threshold": 0.49})
    assert np.asarray(fewer.valid).sum() == 1


def test_boxes_of_one_pixel_width_or_height_are_dropped_before_the_cut():
    # The two best are too thin; with pre_nms 2 the two sound ones must still come through.
    stored = single_cells([[0, 0, 1, 50], [0, 0, 50, 1], [10, 10, 30, 30], [40, 40, 42, 42]])
    scores = np.float32([0.9, 0.8, 0.7, 0.6]).reshape(1, 1, 4, 1)
    found = generate_proposals(
        scores, np.zeros((1, 1, 4, 4), np.float32), stored, **{**SETTINGS, "pre_nms": 2}
    )
    np.testing.assert_array_equal(np.asarray(found.valid)[0, :3], [True, True, False])
    np.testing.assert_allclose(np.asarray(found.boxes)[0, :2], stored[2:], atol=1e-4)


def test_no_sound_box_gives_only_zero_rows():
    scores, codes = random_heads(2)
    codes = codes.reshape(-1, 4)
    codes[:, 2:] = -8.0
    found = generate_proposals(scores, codes.reshape(1, ROWS, COLUMNS, 4 * KINDS), ANCHORS, **SETTINGS)
    assert not np.asarray(found.valid).any() and not np.asarray(found.boxes).any()


def test_an_empty_image_does_not_disturb_its_neighbor():
    scores, codes = random_heads(3, batch=2)
    codes.reshape(2, -1, 4)[0, :, 2:] = -8.0
    check(scores, codes)


def test_fewer_anchors_than_either_limit():
    scores, codes = random_heads(4)
    check(scores, codes, pre_nms=5000, post_nms=400)


def test_pre_nms_limit_cuts_before_suppression():
    scores, codes = random_heads(5)
    check(scores, codes, pre_nms=6, post_nms=20)


def test_a_size_beyond_float32_becomes_the_whole_image():
    scores, codes = np.float32([[[[0.9]]]]), np.float32([[[[0, 0, 100, 100]]]])
    found = generate_proposals(scores, codes, single_cells([[10, 10, 30, 30]]), **SETTINGS)
    np.testing.assert_array_equal(np.asarray(found.boxes)[0, 0], [0, 0, HEIGHT - 1, WIDTH - 1])
    assert np.asarray(found.valid)[0, 0]


def test_a_batch_is_the_stack_of_its_images():
    scores, codes = random_heads(7, batch=3, levels=6)
    batched = generate_proposals(scores, codes, ANCHORS, **SETTINGS)
    for image in range(3):
        single = generate_proposals(scores[image : image + 1], codes[image : image + 1], ANCHORS, **SETTINGS)
        np.testing.assert_allclose(np.asarray(batched.boxes)[image], np.asarray(single.boxes)[0], atol=1e-4)
        np.testing.assert_array_equal(np.asarray(batched.valid)[image], np.asarray(single.valid)[0])


def test_graph_mode_agrees_with_eager_and_shapes_are_static():
    inputs = *random_heads(8, batch=2, levels=4), ANCHORS
    function = functools.partial(generate_proposals, **SETTINGS)
    graph, eager = compiled(function, *inputs), function(*inputs)
    np.testing.assert_allclose(graph.boxes, eager.boxes, atol=1e-5)
    np.testing.assert_array_equal(graph.valid, eager.valid)
    assert static_shapes(lambda *args: function(*args)[:2], *inputs) == [(2, 20, 4), (2, 20)]


def test_images_of_their_own_sizes_propose_as_if_alone_and_never_in_the_padding():
    sizes = [(80, 112), (64, 50), (33, 112)]
    scores, codes = random_heads(9, batch=3)
    heights, widths = tf.transpose(tf.constant(sizes))
    scores = np.asarray(without_padding(scores, heights, widths, 16))
    # 33 px show in three rows of cells, 50 px in four columns.
    assert [(part[..., 0] >= 0).sum() for part in scores] == [5 * 7, 4 * 4, 3 * 7]
    found = generate_proposals(scores, codes, ANCHORS, **{**SETTINGS, "height": heights, "width": widths})
    anchors = ANCHORS.reshape(ROWS, COLUMNS, KINDS, 4)
    for image, (height, width) in enumerate(sizes):
        own = slice(-(-height // 16)), slice(-(-width // 16))
        alone = reference.proposals(
            scores[image][own], codes[image][own], anchors[own].reshape(-1, 4),
            **{**SETTINGS, "height": height, "width": width},
        )  # fmt: skip
        valid = np.asarray(found.valid)[image]
        assert valid.sum() == len(alone) > 5
        np.testing.assert_allclose(np.asarray(found.boxes)[image, valid], alone, atol=1e-3)
