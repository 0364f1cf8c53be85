"""RoI targets: golden numbers, the four sampling cases, padding; against the plain numpy implementation."""

import functools

import numpy as np
import pytest

from frcnn.model.targets import roi_targets
from tests.support import draw, golden
from tests.support import reference_targets as reference
from tests.support.graph import compiled, static_shapes

HEIGHT, WIDTH = 100, 140
BACKGROUND = 3
ROOM = 4
OPTIONS = {
    "min_overlap": 0.0,
    "max_overlap": 0.5,
    "mini_batch": 16,
    "num_classes": BACKGROUND + 1,
    "code_weights": golden.ROI_WEIGHTS,
    "gt_as_roi": False,
}
TRUTH = np.float32([[10, 10, 50, 60], [40, 80, 90, 130]])
CLASSES = np.array([[2, 0, 0, 0]], np.int32)


def around(rng: np.random.Generator, count: int) -> np.ndarray:
    """RoIs that overlap a true box well, all different."""
    return TRUTH[rng.integers(0, 2, count)] + rng.uniform(-4, 4, (count, 4)).astype(np.float32)


def away(rng: np.random.Generator, count: int) -> np.ndarray:
    """RoIs that touch no true box, all different."""
    return np.float32([60, 5, 80, 40]) + rng.uniform(-4, 4, (count, 4)).astype(np.float32)


def targets(rois, truth=TRUTH, room: int = 40, seed=(5, 6), **changes):
    """The library's targets of one image: rois and true boxes are padded here."""
    boxes, valid = draw.pad([rois], room)
    gt_boxes, gt_valid = draw.pad([truth], ROOM)
    options = {**OPTIONS, **changes}
    return roi_targets(boxes, valid, gt_boxes, CLASSES, gt_valid, **options, seed=np.int32(seed))


def rows(boxes) -> list[tuple[float, ...]]:
    return [tuple(np.float32(box).tolist()) for box in boxes]


def check(found, rois, truth=TRUTH, image: int = 0, **changes) -> None:
    """Counts, membership, replacement, labels and codes of one image's sample."""
    options = {**OPTIONS, **changes}
    overlap = {name: options[name] for name in ("min_overlap", "max_overlap", "gt_as_roi")}
    candidates = reference.roi_candidates(rois, truth, **overlap)
    boxes, labels, sampled, positive, codes = (np.asarray(part)[image] for part in found)
    wanted = reference.roi_sample_counts(candidates, options["mini_batch"])
    assert ((sampled & positive).sum(), (sampled & ~positive).sum()) == wanted
    assert not (positive & ~sampled).any()
    for chosen, pool in ((positive, candidates.positive), (sampled & ~positive, candidates.negative)):
        drawn = rows(boxes[chosen])
        assert set(drawn) <= set(rows(pool))
        if len(pool) >= len(drawn):
            assert len(set(drawn)) == len(drawn)
    np.testing.assert_array_equal(labels[sampled & ~positive], BACKGROUND)
    for slot in np.flatnonzero(positive):
        label, code = reference.roi_lesson(boxes[slot], truth, CLASSES[0], options["code_weights"])
        assert labels[slot] == label
        np.testing.assert_allclose(codes[slot], code, rtol=1e-4, atol=1e-4)
    assert not boxes[~sampled].any() and not codes[~positive].any()
    assert labels.min() >= 0 and labels.max() <= BACKGROUND and np.isfinite(codes).all()


COUNTS = {
    "both, plenty of each": (10, 25),
    "both, few positives": (1, 25),
    "both, just enough negatives": (10, 12),
    "both, few negatives, drawn again": (10, 2),
    "positives only, plenty": (30, 0),
    "positives only, drawn again": (3, 0),
    "negatives only, plenty": (0, 30),
    "negatives only, drawn again": (0, 3),
    "nothing": (0, 0),
}


@pytest.mark.parametrize(("near", "far"), COUNTS.values(), ids=COUNTS.keys())
@pytest.mark.parametrize("mini_batch", [16, 10, 3])
def test_sample_follows_the_case(near, far, mini_batch):
    rng = np.random.default_rng(near + 100 * far)
    rois = rng.permutation(np.concatenate([around(rng, near), away(rng, far)]))
    check(targets(rois, mini_batch=mini_batch), rois, mini_batch=mini_batch)


def test_golden_rois_learn_the_golden_codes():
    options = {"min_overlap": 0.0, "max_overlap": 0.5, "mini_batch": 256, "num_classes": 4}
    found = roi_targets(
        *draw.pad([golden.ROIS], 300),
        np.float32([golden.ROI_GT]),
        golden.ROI_GT_CLASSES[None],
        np.ones((1, 3), bool),
        **options,
        code_weights=golden.ROI_WEIGHTS,
        seed=np.int32([0, 0]),
    )
    boxes, labels, sampled, positive, codes = (np.asarray(part)[0] for part in found)
    for index in range(2):
        slots = np.flatnonzero((boxes == np.float32(golden.ROIS[index])).all(axis=1) & sampled)
        assert len(slots) == 1 and positive[slots[0]]
        assert labels[slots[0]] == golden.ROI_GT_CLASSES[index]
        np.testing.assert_allclose(codes[slots[0]], golden.ROI_CODES[index], atol=5e-6)
    copies = (boxes == np.float32(golden.ROIS[2])).all(axis=1) & sampled & ~positive
    assert copies.sum() == 254 and (labels[copies] == 3).all()


def test_golden_overlaps_of_the_second_implementation():
    overlaps = reference.reference.iou_matrix(golden.ROIS, golden.ROI_GT, inclusive=True)
    np.testing.assert_allclose(np.diag(overlaps), golden.ROI_OVERLAPS, atol=1e-6)
    np.testing.assert_allclose(overlaps[2, 0], golden.ROI_2_WITH_GT_0, atol=1e-6)


def test_an_image_without_true_boxes_gives_no_sample():
    rois = away(np.random.default_rng(1), 9)
    found = targets(rois, truth=[])
    assert not np.asarray(found.sampled).any()
    check(found, rois, truth=[])


def test_no_proposals_and_no_true_boxes_give_no_sample():
    check(targets([], truth=[], gt_as_roi=True), [], truth=[], gt_as_roi=True)


def test_true_boxes_join_as_rois_when_asked():
    rois = away(np.random.default_rng(2), 20)
    found = targets(rois, gt_as_roi=True)
    check(found, rois, gt_as_roi=True)
    assert set(rows(np.asarray(found.rois)[np.asarray(found.positive)])) == set(rows(TRUTH))
    check(targets(rois, gt_as_roi=False), rois)


def test_overlaps_below_the_minimum_are_not_background():
    rng = np.random.default_rng(3)
    rois = np.concatenate([around(rng, 5), away(rng, 20)])
    found = targets(rois, min_overlap=0.1)
    check(found, rois, min_overlap=0.1)
    assert np.asarray(found.positive).sum() == 16  # positives only: the far ones may not be drawn


def test_thresholds_count_the_minimum_in_and_the_maximum_as_positive():
    # 10 x 10 px truth; RoIs of 10 x 5 (overlap 0.5) and 10 x 1 px (overlap 0.1) inclusively.
    truth, half, tenth = [[0, 0, 9, 9]], [0, 0, 9, 4], [0, 0, 9, 0]
    rois = np.float32([half, tenth])
    found = targets(rois, truth=truth, min_overlap=0.1)
    assert set(rows(np.asarray(found.rois)[np.asarray(found.positive)])) == {tuple(half)}
    check(found, rois, truth=truth, min_overlap=0.1)


def test_padded_rois_are_not_drawn_even_beside_a_box_at_the_origin():
    truth = [[0, 0, 1, 1]]
    rois = away(np.random.default_rng(4), 2)
    check(targets(rois, truth=truth), rois, truth=truth)


def test_what_lies_in_the_padding_does_not_matter():
    rois = np.concatenate([around(np.random.default_rng(5), 6), away(np.random.default_rng(6), 30)])
    boxes, valid = draw.pad([rois], 40)
    gt_boxes, gt_valid = draw.pad([TRUTH], ROOM)
    inputs = boxes, valid, gt_boxes, CLASSES, gt_valid
    plain = roi_targets(*inputs, **OPTIONS, seed=np.int32([1, 1]))
    boxes[0, 36:] = TRUTH[0]
    gt_boxes[0, 2:] = rois[-1]
    for one, two in zip(plain, roi_targets(*inputs, **OPTIONS, seed=np.int32([1, 1])), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_same_seed_draws_the_same_sample_and_another_seed_another():
    rng = np.random.default_rng(7)
    rois = np.concatenate([around(rng, 10), away(rng, 30)])
    first, again, other = (np.asarray(targets(rois, seed=seed).rois) for seed in ((1, 2), (1, 2), (2, 2)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_every_candidate_has_a_chance():
    rng = np.random.default_rng(8)
    rois = np.concatenate([around(rng, 10), away(rng, 30)])
    seen = set()
    for step in range(25):
        seen |= set(rows(np.asarray(targets(rois, seed=(3, step)).rois)[0]))
    assert seen == set(rows(rois))


def test_each_image_of_a_batch_is_sampled_on_its_own():
    rng = np.random.default_rng(9)
    images = [np.concatenate([around(rng, 8), away(rng, 20)]), np.zeros((0, 4)), around(rng, 3), away(rng, 9)]
    gts = [TRUTH, TRUTH, TRUTH[:1], []]
    boxes, valid = draw.pad(images, 40)
    gt_boxes, gt_valid = draw.pad(gts, ROOM)
    classes = np.repeat(CLASSES, 4, axis=0)
    found = roi_targets(boxes, valid, gt_boxes, classes, gt_valid, **OPTIONS, seed=np.int32([4, 4]))
    for image in range(4):
        check(found, images[image], truth=gts[image], image=image)


def test_graph_mode_agrees_with_eager_and_shapes_are_static():
    rng = np.random.default_rng(10)
    boxes, valid = draw.pad([around(rng, 9), np.concatenate([around(rng, 2), away(rng, 30)])], 40)
    gt_boxes, gt_valid = draw.pad([TRUTH, TRUTH], ROOM)
    inputs = boxes, valid, gt_boxes, np.repeat(CLASSES, 2, axis=0), gt_valid, np.int32([3, 4])
    function = functools.partial(roi_targets, **{**OPTIONS, "gt_as_roi": True})

    def sample(*tensors):
        return function(*tensors[:-1], seed=tensors[-1])

    for graph, eager in zip(compiled(sample, *inputs), sample(*inputs), strict=True):
        np.testing.assert_allclose(np.float32(graph), np.float32(eager), rtol=1e-5, atol=1e-5)
    assert static_shapes(sample, *inputs) == [(2, 16, 4), (2, 16), (2, 16), (2, 16), (2, 16, 4)]
