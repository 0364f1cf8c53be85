"""Anchor targets: golden numbers, the rescue rule, sampling, padding; against plain numpy."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from frcnn.model.targets import assign_anchors, rpn_targets
from frcnn.ops.anchor_shapes import anchor_grid
from tests.support import draw, golden, reference_boxes
from tests.support import reference_targets as reference
from tests.support.graph import compiled, static_shapes

# Square anchors of whole pixels: overlaps are ratios of small whole numbers, so float32 ties as float64.
HEIGHT, WIDTH = 96, 128
ANCHORS = anchor_grid(6, 8, [16.0, 32.0], [1.0])
SIZE = {"height": HEIGHT, "width": WIDTH}
LIMITS = {**SIZE, "min_overlap": 0.3, "max_overlap": 0.7}
ROOM = 6

truths = st.lists(draw.whole_boxes(HEIGHT, WIDTH, smallest=4), max_size=ROOM)


def roles(found, image: int = 0) -> tuple[list[int], list[int], list[int]]:
    """Positive anchors, their true boxes, negative anchors, as lists of indices."""
    positive = np.flatnonzero(np.asarray(found.positive)[image])
    return (
        positive.tolist(),
        np.asarray(found.matched)[image, positive].tolist(),
        np.flatnonzero(np.asarray(found.negative)[image]).tolist(),
    )


def expected_roles(found: reference.Anchors) -> tuple[list[int], list[int], list[int]]:
    positive = np.flatnonzero(found.positive)
    return positive.tolist(), found.matched[positive].tolist(), np.flatnonzero(found.negative).tolist()


def assign(gt, anchors=ANCHORS, **changes):
    """The library's assignment of one image."""
    boxes, valid = draw.pad([gt], ROOM)
    return assign_anchors(anchors, boxes, valid, **{**LIMITS, **changes})


def golden_roles(boxes, low: float, high: float):
    anchors = anchor_grid(golden.ROWS, golden.COLUMNS, golden.SCALES, golden.RATIOS)
    options = {"height": golden.HEIGHT, "width": golden.WIDTH, "min_overlap": low, "max_overlap": high}
    options |= {"inside_only": True}
    found = assign_anchors(anchors, *draw.pad([boxes], 20), **options)
    return roles(found), reference.assign_anchors(anchors, boxes, **options)


def test_small_objects_are_rescued_by_the_golden_anchors():
    (positive, matched, negative), plain = golden_roles(golden.SMALL_BOXES, 0.3, 0.7)
    assert dict(zip(matched, positive, strict=True)) == dict(enumerate(golden.SMALL_RESCUERS))
    assert len(positive) + len(negative) == golden.SMALL_VALID
    assert [anchor for _, anchor, _ in plain.rescued] == golden.SMALL_RESCUERS
    np.testing.assert_allclose([overlap for _, _, overlap in plain.rescued], golden.SMALL_OVERLAPS, atol=1e-6)


def test_large_objects_pass_the_threshold_or_are_rescued_by_the_golden_anchors():
    (positive, matched, negative), plain = golden_roles(golden.LARGE_BOXES, 0.0, 0.5)
    assert len(positive) == golden.LARGE_POSITIVE
    assert len(positive) + len(negative) == golden.LARGE_VALID
    assert {index: anchor for index, anchor, _ in plain.rescued} == golden.LARGE_RESCUES
    chosen = dict(zip(positive, matched, strict=True))
    assert [chosen.get(anchor) for anchor in golden.LARGE_RESCUES.values()] == list(golden.LARGE_RESCUES)


@pytest.mark.parametrize("inside_only", [False, True])
@pytest.mark.parametrize(("low", "high"), [(0.3, 0.7), (0.0, 0.5)])
@given(gt=truths)
@settings(max_examples=30, deadline=None)
def test_assignment_agrees_with_numpy(low, high, inside_only, gt):
    limits = {"min_overlap": low, "max_overlap": high, "inside_only": inside_only}
    expected = reference.assign_anchors(ANCHORS, gt, **SIZE, **limits)
    assert roles(assign(gt, **limits)) == expected_roles(expected)


def test_no_true_box_makes_every_anchor_negative():
    assert roles(assign([])) == ([], [], list(range(len(ANCHORS))))


def test_no_true_box_makes_every_inside_anchor_negative_where_only_those_count():
    positive, _, negative = roles(assign([], inside_only=True))
    assert positive == []
    assert negative == np.flatnonzero(reference.inside(ANCHORS, HEIGHT, WIDTH)).tolist()


def test_an_object_that_fills_the_picture_has_anchors_of_its_own_size():
    anchors = anchor_grid(6, 8, [96.0], [1.0, WIDTH / HEIGHT])
    filling = [[0, 0, HEIGHT - 1, WIDTH - 1]]
    positive, _, _ = roles(assign(filling, anchors))
    assert len(positive) > 1
    # TAO's rule leaves none: no anchor of that size lies inside.
    assert roles(assign(filling, anchors, inside_only=True)) == ([], [], [])


def test_what_lies_in_the_padding_does_not_matter():
    boxes, valid = draw.pad([[[10, 10, 40, 40]]], ROOM)
    plain = roles(assign_anchors(ANCHORS, boxes, valid, **LIMITS))
    boxes[0, 1:] = ANCHORS[50]
    assert roles(assign_anchors(ANCHORS, boxes, valid, **LIMITS)) == plain


def test_anchors_across_the_border_take_no_part_where_only_inside_ones_count():
    positive, _, negative = roles(assign([[0, 0, 20, 20]], inside_only=True))
    outside = np.flatnonzero(~reference.inside(ANCHORS, HEIGHT, WIDTH))
    assert len(outside) > 0 and not set(outside) & set(positive + negative)


def test_the_last_of_two_rescued_boxes_wins_a_shared_anchor():
    # Both lie inside the only anchor that overlaps them.
    anchors = np.float32([[0, 0, 31, 31], [40, 40, 71, 71]])
    first, second = [4, 4, 12, 12], [16, 16, 26, 26]
    assert roles(assign([first, second], anchors))[:2] == ([0], [1])
    assert roles(assign([second, first], anchors))[:2] == ([0], [1])


def test_a_rescue_takes_over_an_anchor_that_another_box_made_positive():
    anchors = np.float32([[0, 0, 31, 31], [60, 60, 91, 91]])
    full, quarter = [0, 0, 31, 31], [0, 0, 15, 15]
    assert roles(assign([full, quarter], anchors))[:2] == ([0], [1])


def test_a_box_that_claimed_a_positive_takes_no_better_anchor_from_another():
    # The second box overlaps the first anchor most (0.8), but that one is taken; the other (0.75) counts.
    first, second = [0, 0, 79, 79], [0, 0, 79, 63]
    anchors = np.float32([first, [0, 0, 79, 47]])
    assert roles(assign([first, second], anchors))[:2] == ([0, 1], [0, 1])


def test_the_first_of_equally_good_anchors_rescues():
    anchors = np.float32([[50, 50, 81, 81], [0, 0, 31, 31], [0, 0, 31, 31]])
    assert roles(assign([[8, 8, 20, 20]], anchors))[:2] == ([1], [0])


def test_the_first_of_equal_boxes_is_matched():
    box = [0, 0, 31, 31]
    positive, matched, _ = roles(assign([box, [60, 60, 90, 90], box], np.float32([box])))
    # The second twin claims nothing, so the rescue hands it the anchor: the last box wins.
    assert (positive, matched) == ([0], [2])


def test_a_box_no_anchor_touches_is_left_alone():
    assert roles(assign([[60, 60, 80, 80]], np.float32([[0, 0, 31, 31]])))[0] == []


def test_thresholds_include_their_ends():
    # An anchor equal to the box claims it, so nothing is rescued; the other overlaps it 70 / 100 or 30 / 100.
    for box, expected in (([0, 0, 9, 6], ([0, 1], [0, 0], [])), ([0, 0, 9, 2], ([1], [0], [0]))):
        assert roles(assign([box], np.float32([[0, 0, 9, 9], box]))) == expected


def test_assignment_of_a_batch_is_the_stack_of_its_images():
    rng = np.random.default_rng(0)
    images = [draw.random_boxes(rng, count, HEIGHT, WIDTH) for count in (3, 0, 6)]
    boxes, valid = draw.pad(images, ROOM)
    batched = assign_anchors(ANCHORS, boxes, valid, **LIMITS)
    for i in range(3):
        single = assign_anchors(ANCHORS, boxes[i : i + 1], valid[i : i + 1], **LIMITS)
        assert roles(batched, i) == roles(single)


SAMPLED = {**SIZE, "min_overlap": 0.1, "max_overlap": 0.35}
CROWD = np.float32([[8, 8, 40, 40], [30, 60, 75, 100], [50, 10, 90, 50], [10, 70, 40, 110]])


def draw_targets(gt, mini_batch: int, seed=(1, 2)):
    boxes, valid = draw.pad([gt], ROOM)
    return rpn_targets(ANCHORS, boxes, valid, **SAMPLED, mini_batch=mini_batch, seed=np.int32(seed))


@pytest.mark.parametrize("mini_batch", [1, 2, 4, 7, 20, 64, 1000])
@pytest.mark.parametrize("gt", [CROWD, CROWD[:1], []], ids=["crowd", "one", "none"])
def test_sample_has_the_promised_counts_and_comes_from_the_candidates(gt, mini_batch):
    found = draw_targets(gt, mini_batch)
    sampled, positive = np.asarray(found.sampled)[0], np.asarray(found.positive)[0]
    plain = reference.assign_anchors(ANCHORS, gt, **SAMPLED)
    counts = reference.rpn_sample_counts(plain, mini_batch)
    assert ((sampled & positive).sum(), (sampled & ~positive).sum()) == counts
    assert not (positive & ~sampled).any()
    assert not (positive & ~plain.positive).any()
    assert not (sampled & ~positive & ~plain.negative).any()


@given(gt=truths)
@settings(max_examples=15, deadline=None)
def test_codes_of_positives_agree_with_numpy_and_all_are_finite(gt):
    found = draw_targets(gt, 1000)
    codes = np.asarray(found.codes)[0]
    plain = reference.assign_anchors(ANCHORS, gt, **SAMPLED)
    assert np.isfinite(codes).all()
    for index in np.flatnonzero(np.asarray(found.positive)[0]):
        box = gt[plain.matched[index]]
        expected = reference_boxes.encode(box, ANCHORS[index], inclusive=False)
        np.testing.assert_allclose(codes[index], expected, rtol=1e-5, atol=1e-5)


def test_golden_small_objects_fill_the_mini_batch():
    anchors = anchor_grid(golden.ROWS, golden.COLUMNS, golden.SCALES, golden.RATIOS)
    options = {"height": golden.HEIGHT, "width": golden.WIDTH, "min_overlap": 0.3, "max_overlap": 0.7}
    options |= {"mini_batch": 256, "inside_only": True, "seed": np.int32([0, 0])}
    boxes, valid = draw.pad([golden.SMALL_BOXES], 20)
    found = rpn_targets(anchors, boxes, valid, **options)
    assert (np.asarray(found.sampled).sum(), np.asarray(found.positive).sum()) == (256, 7)


def test_the_same_seed_draws_the_same_sample_and_another_seed_another():
    first, again, other = (draw_targets(CROWD, 10, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert (np.asarray(first.sampled) != np.asarray(other.sampled)).any()


def test_every_candidate_has_a_chance():
    # Half the negatives fit: missing one in thirty draws has a chance of 1e-9, and the seeds are fixed.
    plain = reference.assign_anchors(ANCHORS, CROWD, **SAMPLED)
    boxes, valid = draw.pad([CROWD], ROOM)
    graph = tf.function(functools.partial(rpn_targets, ANCHORS, boxes, valid, **SAMPLED, mini_batch=20))
    seen = np.zeros(len(ANCHORS), int)
    for step in range(30):
        seen += np.asarray(graph(seed=tf.constant([7, step])).sampled)[0]
    candidates = plain.positive | plain.negative
    assert (seen[candidates] > 0).all() and (seen[~candidates] == 0).all()
    assert seen[plain.negative].max() < 30


def test_graph_mode_agrees_with_eager_and_shapes_are_static():
    boxes, valid = draw.pad([CROWD, [], CROWD[:2]], ROOM)
    function = functools.partial(rpn_targets, ANCHORS, **SAMPLED, mini_batch=16)
    inputs = boxes, valid, np.int32([3, 4])

    def targets(gt_boxes, gt_valid, seed):
        return function(gt_boxes, gt_valid, seed=seed)

    for graph, eager in zip(compiled(targets, *inputs), targets(*inputs), strict=True):
        np.testing.assert_allclose(np.float32(graph), np.float32(eager), rtol=1e-6, atol=1e-6)
    n = len(ANCHORS)
    assert static_shapes(targets, *inputs) == [(3, n), (3, n), (3, n, 4)]


SIZES = [(96, 128), (80, 61), (64, 112)]


def padded_batch():
    """Objects in images of different sizes, and their sizes."""
    rng = np.random.default_rng(12)
    objects = [draw.random_boxes(rng, 4, *size, sides=(12, 40)) for size in SIZES]
    heights, widths = tf.transpose(tf.constant(SIZES))
    return draw.pad(objects, ROOM), heights, widths


@pytest.mark.parametrize("inside_only", [False, True])
def test_an_image_in_a_padded_batch_is_assigned_as_if_alone(inside_only):
    (boxes, valid), heights, widths = padded_batch()
    limits = {**LIMITS, "height": heights, "width": widths, "inside_only": inside_only}
    found = assign_anchors(ANCHORS, boxes, valid, **limits)
    for image, (height, width) in enumerate(SIZES):
        # Anchors of the image's own, smaller map, and their numbers in the map of the batch.
        own = anchor_grid(-(-height // 16), -(-width // 16), [16.0, 32.0], [1.0])
        number = {tuple(anchor): index for index, anchor in enumerate(ANCHORS)}
        alone = assign_anchors(own, *draw.pad([boxes[image][valid[image]]], ROOM), **LIMITS | {
            "height": height, "width": width, "inside_only": inside_only
        })  # fmt: skip
        positive, matched, negative = roles(alone)
        assert positive and negative
        numbers = [[number[tuple(own[index])] for index in indices] for indices in (positive, negative)]
        assert roles(found, image) == (numbers[0], matched, numbers[1])


def test_no_sampled_anchor_belongs_to_a_cell_of_padding():
    (boxes, valid), heights, widths = padded_batch()
    limits = {**SAMPLED, "height": heights, "width": widths}
    found = rpn_targets(ANCHORS, boxes, valid, **limits, mini_batch=256, seed=np.int32([3, 4]))
    for image, size in enumerate(SIZES):
        taken = ANCHORS[np.asarray(found.sampled)[image]]
        corners = (taken[:, :2] + taken[:, 2:]) / 2 - 8
        assert len(taken) > 5
        assert (corners < size).all() and (taken[:, 2:] > np.subtract(size, 1)).any()


def test_no_sampled_anchor_reaches_into_the_padding_where_only_inside_ones_count():
    (boxes, valid), heights, widths = padded_batch()
    limits = {**SAMPLED, "height": heights, "width": widths, "inside_only": True}
    found = rpn_targets(ANCHORS, boxes, valid, **limits, mini_batch=256, seed=np.int32([3, 4]))
    for image, size in enumerate(SIZES):
        taken = ANCHORS[np.asarray(found.sampled)[image]]
        assert len(taken) > 5
        assert (taken[:, 2:] <= np.subtract(size, 1)).all() and (taken >= 0).all()


def test_sampling_is_the_same_where_the_number_of_anchors_comes_late():
    (boxes, valid), heights, widths = padded_batch()
    limits = {**SAMPLED, "height": heights, "width": widths, "mini_batch": 16, "seed": np.int32([3, 4])}
    late = tf.function(
        lambda anchors: rpn_targets(anchors, boxes, valid, **limits),
        input_signature=[tf.TensorSpec([None, 4])],
    )
    for one, other in zip(late(ANCHORS), rpn_targets(ANCHORS, boxes, valid, **limits), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
