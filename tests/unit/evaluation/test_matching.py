import numpy as np
import pytest

from frcnn.evaluation.matching import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE, inclusive_iou, match
from tests.support.detection_scenes import random_scenes
from tests.support.reference_evaluation import plain_iou

HALF = np.asarray([0.5])


def outcomes_of(scores, iou, difficult, thresholds=HALF, **rule):
    values = np.asarray(scores), np.asarray(iou, float), np.asarray(difficult, bool), np.asarray(thresholds)
    outcomes, _ = match(*values, **rule)
    return outcomes[:, 0].tolist() if len(thresholds) == 1 else outcomes.tolist()


@pytest.mark.parametrize(
    ("box", "other", "expected"),
    [
        ((0, 0, 9, 9), (5, 5, 14, 14), 0.142857),
        ((0, 0, 9, 9), (0, 0, 9, 9), 0.99999999),
        ((0, 0, 9, 9), (0, 10, 9, 19), 0.0),
    ],
)
def test_iou_has_the_golden_values(box, other, expected):
    assert inclusive_iou(np.asarray([box]), np.asarray([other]))[0, 0] == pytest.approx(expected, abs=5e-7)


def test_identical_boxes_stay_below_one_by_the_added_union():
    iou = inclusive_iou(np.asarray([[0, 0, 9, 9]]), np.asarray([[0, 0, 9, 9]]))[0, 0]
    assert 1 - iou == pytest.approx(1e-8, rel=1e-3)


def test_a_box_without_area_overlaps_nothing():
    boxes = np.asarray([[0, 0, 0, 0], [3, 2, 3, 8], [5, 5, 2, 9], [0, 0, 9, 9]])
    iou = inclusive_iou(boxes, np.asarray([[0, 0, 9, 9]]))
    assert iou[:3].tolist() == [[0.0]] * 3
    assert iou[3, 0] > 0.9


def test_iou_agrees_with_a_plain_implementation():
    for scene in random_scenes(seed=1, images=20):
        iou = inclusive_iou(scene.found_boxes, scene.boxes)
        plain = [[plain_iou(box, other) for other in scene.boxes] for box in scene.found_boxes]
        np.testing.assert_allclose(iou, np.asarray(plain).reshape(iou.shape), rtol=1e-12)


def test_iou_of_no_boxes_has_no_rows_or_columns():
    assert inclusive_iou(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)
    assert inclusive_iou(np.zeros((3, 4)), np.zeros((0, 4))).shape == (3, 0)


def test_difficult_objects_follow_the_golden_rule():
    # .9 on the ordinary object A, .8 on the difficult B, .7 again on A; C is found by none.
    iou = [[0.9, 0, 0], [0, 0.9, 0], [0.8, 0, 0]]
    assert outcomes_of([0.9, 0.8, 0.7], iou, [False, True, False]) == [TRUE_POSITIVE, IGNORED, FALSE_POSITIVE]


def test_by_cocos_rule_a_second_detection_takes_its_second_best_object():
    iou = [[0.9, 0.6], [0.8, 0.7]]
    assert outcomes_of([0.9, 0.8], iou, [False, False], coco=True) == [TRUE_POSITIVE] * 2
    assert outcomes_of([0.9, 0.8], iou, [False, False]) == [TRUE_POSITIVE, FALSE_POSITIVE]


def test_a_difficult_object_excuses_all_its_detections_and_by_cocos_rule_one():
    scores, iou = [0.9, 0.8, 0.7], [[0.9], [0.8], [0.7]]
    assert outcomes_of(scores, iou, [True]) == [IGNORED] * 3
    assert outcomes_of(scores, iou, [True], coco=True) == [IGNORED, FALSE_POSITIVE, FALSE_POSITIVE]


def test_the_largest_overlap_decides_and_by_cocos_rule_ordinary_objects_go_first():
    iou = [[0.9, 0.6], [0.9, 0.6]]
    assert outcomes_of([0.9, 0.8], iou, [True, False]) == [IGNORED, IGNORED]
    assert outcomes_of([0.9, 0.8], iou, [True, False], coco=True) == [TRUE_POSITIVE, IGNORED]


def test_identical_boxes_overlap_wholly_where_nothing_is_added():
    box = np.asarray([[0, 0, 9, 9]])
    assert inclusive_iou(box, box, extra=0.0)[0, 0] == 1.0
    assert inclusive_iou(box, np.asarray([[0, 0, 9, 19]]), extra=0.0)[0, 0] == 0.5


def devkit(scores, iou, difficult, threshold):
    """The loop of VOCevaldet, line by line: the object of the largest overlap decides."""
    taken, outcomes = set(), {}
    for d in sorted(range(len(scores)), key=lambda d: -scores[d]):
        j = max(range(len(iou[d])), key=lambda g: iou[d][g])
        if iou[d][j] < threshold:
            outcomes[d] = FALSE_POSITIVE
        elif difficult[j]:
            outcomes[d] = IGNORED
        else:
            outcomes[d] = FALSE_POSITIVE if j in taken else TRUE_POSITIVE
            taken.add(j)
    return [outcomes[d] for d in range(len(scores))]


@pytest.mark.parametrize("seed", range(4))
def test_outcomes_are_those_of_the_development_kit(seed):
    thresholds = (0.3, 0.5, 0.75)
    kinds = set()
    for scene in random_scenes(seed, images=30, difficult=0.4, crowding=25.0):
        if not len(scene.boxes) or not len(scene.scores):
            continue
        iou = inclusive_iou(scene.found_boxes, scene.boxes)
        iou *= scene.found_classes[:, None] == scene.classes[None, :]
        found, _ = match(scene.scores, iou, scene.difficult, np.asarray(thresholds))
        for at, threshold in enumerate(thresholds):
            expected = devkit(scene.scores.tolist(), iou.tolist(), scene.difficult, threshold)
            assert found[:, at].tolist() == expected
            kinds |= set(expected)
    assert kinds == {IGNORED, FALSE_POSITIVE, TRUE_POSITIVE}


def test_the_best_score_chooses_first_wherever_it_stands():
    assert outcomes_of([0.2, 0.9], [[0.95], [0.6]], [False]) == [FALSE_POSITIVE, TRUE_POSITIVE]


def test_an_overlap_of_exactly_the_threshold_is_enough():
    assert outcomes_of([0.9, 0.8], [[0.5, 0], [0, 0.4999]], [False, False]) == [TRUE_POSITIVE, FALSE_POSITIVE]


def test_each_threshold_is_matched_on_its_own():
    iou = [[0.55, 0.9], [0.0, 0.7]]
    together = outcomes_of([0.9, 0.8], iou, [False] * 2, [0.5, 0.75], coco=True)
    assert together == [[TRUE_POSITIVE, TRUE_POSITIVE], [FALSE_POSITIVE, FALSE_POSITIVE]]
    # By the other rule the second detection looks at the object it overlaps most, which is taken.
    assert outcomes_of([0.9, 0.8], iou, [False] * 2, [0.5, 0.75])[1] == [FALSE_POSITIVE] * 2


def test_without_objects_every_detection_is_wrong_and_without_detections_nothing_is_said():
    outcomes, _ = match(np.asarray([0.9]), np.zeros((1, 0)), np.zeros(0, bool), HALF)
    assert outcomes.tolist() == [[FALSE_POSITIVE]]
    assert match(np.zeros(0), np.zeros((0, 2)), np.zeros(2, bool), HALF)[0].shape == (0, 1)
