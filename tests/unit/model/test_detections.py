"""Detections against hand-worked cases and the plain numpy implementation."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings

from frcnn.model.detections import generate_detections
from tests.support import draw, golden
from tests.support import reference_proposals as reference
from tests.support.graph import compiled, static_shapes

ROIS, CLASSES = 20, 3
SETTINGS = {
    "height": 90,
    "width": 120,
    "score_threshold": 0.05,
    "iou_threshold": 0.3,
    "max_detections": 15,
    "code_weights": golden.ROI_WEIGHTS,
}


def random_heads(seed: int, batch: int = 1, levels: int = 0) -> tuple[np.ndarray, ...]:
    """rois, roi_valid, probabilities (all different, or multiples of 1 / `levels`), codes."""
    rng = np.random.default_rng(seed)
    rois = np.stack([draw.random_boxes(rng, ROIS, 90, 120, sides=(10, 50)) for _ in range(batch)])
    chances = rng.dirichlet(np.full(CLASSES + 1, 0.5), (batch, ROIS)).astype(np.float32)
    if levels:
        chances = np.floor(chances * levels).astype(np.float32) / levels
    codes = rng.normal(0, 1.0, (batch, ROIS, CLASSES, 4)).astype(np.float32)
    return rois, rng.random((batch, ROIS)) < 0.9, chances, codes


def check(rois, roi_valid, probabilities, codes, **changes) -> None:
    """Every image's detections are those of numpy, padded with zeros to the static size."""
    options = {**SETTINGS, **changes}
    found = generate_detections(rois, roi_valid, probabilities, codes, **options)
    boxes, scores, classes = (np.asarray(part) for part in (found.boxes, found.scores, found.classes))
    assert boxes.shape == (len(rois), options["max_detections"], 4)
    for i in range(len(rois)):
        expected = reference.detections(rois[i], roi_valid[i], probabilities[i], codes[i], **options)
        count = len(expected)
        assert int(found.count[i]) == count
        np.testing.assert_array_equal(classes[i, :count], [one.label for one in expected])
        np.testing.assert_allclose(scores[i, :count], [one.score for one in expected], rtol=1e-6)
        np.testing.assert_allclose(
            boxes[i, :count], np.reshape([one.box for one in expected], (-1, 4)), atol=2e-3
        )
        for padding in (boxes[i, count:], scores[i, count:], classes[i, count:]):
            np.testing.assert_array_equal(padding, 0)


def heads(rois, scores) -> tuple[np.ndarray, ...]:
    """One image, zero codes: rois [R, 4] and the scores [R, C + 1] of each."""
    boxes, chances = np.float32([rois]), np.float32([scores])
    codes = np.zeros((1, boxes.shape[1], chances.shape[2] - 1, 4), np.float32)
    return boxes, np.ones(boxes.shape[:2], bool), chances, codes


@given(seed=draw.seeds)
@settings(max_examples=8, deadline=None)
def test_detections_agree_with_numpy(seed):
    check(*random_heads(seed, batch=2))


@pytest.mark.parametrize("levels", [2, 4])
@given(seed=draw.seeds)
@settings(max_examples=5, deadline=None)
def test_tied_scores_keep_the_order_roi_then_class(levels, seed):
    check(*random_heads(seed, levels=levels))


def test_a_zero_code_gives_the_roi_with_the_far_corner_one_pixel_out():
    found = generate_detections(*heads([[10, 20, 30, 50]], [[0.9, 0.1]]), **SETTINGS)
    np.testing.assert_allclose(found.boxes[0, 0], [10, 20, 31, 51], atol=1e-4)


def test_codes_are_divided_by_the_weights():
    # 11 px wide, 21 px high inclusively; dx 10 / 10 moves by one width, dh 5 ln 2 / 5 doubles the height.
    rois, valid, chances, codes = heads([[20, 20, 40, 30]], [[0.9, 0.1]])
    codes[0, 0, 0] = [10.0, 0.0, 0.0, 5 * np.log(2.0)]
    found = generate_detections(rois, valid, chances, codes, **SETTINGS)
    np.testing.assert_allclose(found.boxes[0, 0], [9.5, 31, 51.5, 42], atol=1e-3)


def test_boxes_are_clipped_to_the_border_pixels():
    found = generate_detections(*heads([[50, 60, 89, 119]], [[0.9, 0.1]]), **SETTINGS)
    np.testing.assert_array_equal(found.boxes[0, 0], [50, 60, 89, 119])


def test_classes_do_not_suppress_each_other():
    found = generate_detections(
        *heads([[10, 10, 50, 50], [10, 10, 50, 51]], [[0.6, 0.4, 0], [0.5, 0.45, 0]]), **SETTINGS
    )
    assert int(found.count[0]) == 2
    np.testing.assert_array_equal(found.classes[0, :2], [0, 1])
    np.testing.assert_allclose(found.scores[0, :2], [0.6, 0.45])


def test_background_is_never_a_detection():
    found = generate_detections(*heads([[10, 10, 50, 50]], [[0.04, 0.03, 0.93]]), **SETTINGS)
    assert int(found.count[0]) == 0


def test_a_score_at_the_threshold_is_dropped():
    found = generate_detections(
        *heads([[10, 10, 30, 30], [50, 50, 80, 80]], [[0.25, 0.75], [0.26, 0.74]]),
        **{**SETTINGS, "score_threshold": 0.25},
    )
    assert int(found.count[0]) == 1
    np.testing.assert_allclose(found.scores[0, 0], 0.26)


@pytest.mark.parametrize("score_threshold", [0.0, 0.05])
def test_padded_rois_never_become_detections(score_threshold):
    rois, valid, chances, codes = random_heads(9, batch=2)
    valid[0], valid[1] = False, np.arange(ROIS) < 3
    rois[~valid] = 0.0
    chances[~valid] = [0.97, 0.01, 0.01, 0.01]
    check(rois, valid, chances, codes, score_threshold=score_threshold)
    found = generate_detections(rois, valid, chances, codes, **SETTINGS)
    assert int(found.count[0]) == 0 and not np.asarray(found.boxes)[0].any()


def test_the_limit_counts_all_classes_together():
    check(*random_heads(10), max_detections=4, score_threshold=0.0)


def test_more_room_than_candidates():
    check(*random_heads(11), max_detections=100, score_threshold=0.0)


def test_boxes_at_the_overlap_threshold_stay():
    # Decoded with +1 to 10 x 10 and 10 x 5 px; their IoU without +1 is exactly 0.5.
    inputs = heads([[0, 0, 9, 9], [0, 0, 9, 4]], [[0.9, 0.1], [0.8, 0.2]])
    kept = generate_detections(*inputs, **{**SETTINGS, "iou_threshold": 0.5})
    fewer = generate_detections(*inputs, **{**SETTINGS, "iou_threshold": 0.49})
    assert (int(kept.count[0]), int(fewer.count[0])) == (2, 1)


def test_a_batch_is_the_stack_of_its_images():
    inputs = random_heads(12, batch=3, levels=8)
    batched = generate_detections(*inputs, **SETTINGS)
    for image in range(3):
        single = generate_detections(*[part[image : image + 1] for part in inputs], **SETTINGS)
        for whole, part in zip(batched, single, strict=True):
            np.testing.assert_allclose(np.asarray(whole)[image], np.asarray(part)[0], atol=1e-4)


def test_graph_mode_agrees_with_eager_and_shapes_are_static():
    inputs = random_heads(13, batch=2)
    function = functools.partial(generate_detections, **SETTINGS)
    for graph, eager in zip(compiled(function, *inputs), function(*inputs), strict=True):
        np.testing.assert_allclose(graph, eager, atol=1e-5)
    assert static_shapes(function, *inputs) == [(2, 15, 4), (2, 15), (2, 15), (2,)]
