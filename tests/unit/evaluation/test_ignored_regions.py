"""KITTI's DontCare regions: what is found there is neither right nor wrong."""

import numpy as np
import pytest

from frcnn.evaluation.error_analysis import ErrorAnalysis
from frcnn.evaluation.evaluator import Evaluator
from frcnn.evaluation.ignored_regions import ignore_in_regions, share_inside
from frcnn.evaluation.matching import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE
from frcnn.evaluation.settings import EvaluationSettings
from tests.support.detection_scenes import Scene, as_batch

REGION = [100, 100, 199, 299]  # 100 x 200 px


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ([100, 100, 199, 299], 1.0),
        ([120, 150, 129, 159], 1.0),  # small and wholly inside: the region's area does not matter
        ([0, 100, 199, 299], 0.5),
        ([50, 50, 149, 149], 0.25),
        ([0, 0, 99, 99], 0.0),  # touches it
    ],
)
def test_the_share_is_of_the_detection_not_of_the_region(box, share):
    assert share_inside(np.array([box]), np.array([REGION])) == pytest.approx(share, abs=1e-6)


def test_regions_without_area_are_padding():
    assert share_inside(np.array([[0, 0, 9, 9]]), np.zeros((5, 4))).tolist() == [0.0]


def test_only_wrong_detections_are_excused_and_only_above_the_threshold():
    boxes = np.array([[120, 150, 129, 159], [120, 150, 129, 159], [0, 100, 199, 299], [0, 0, 9, 9]])
    outcomes = np.array(
        [[TRUE_POSITIVE] * 2, [FALSE_POSITIVE] * 2, [FALSE_POSITIVE] * 2, [FALSE_POSITIVE] * 2], np.int8
    )
    found = ignore_in_regions(outcomes, boxes, np.array([REGION]), np.array([0.4, 0.5]))
    assert found.tolist() == [
        [TRUE_POSITIVE, TRUE_POSITIVE],
        [IGNORED, IGNORED],
        [IGNORED, FALSE_POSITIVE],  # half of it is inside: exactly 0.5 is not above 0.5
        [FALSE_POSITIVE, FALSE_POSITIVE],
    ]


def _batch():
    car, inside, outside = [10, 10, 49, 49], [120, 150, 149, 199], [210, 10, 239, 39]
    scene = Scene(
        boxes=np.array([car]),
        classes=np.array([0]),
        difficult=np.array([False]),
        found_boxes=np.array([car, inside, outside]),
        scores=np.array([0.9, 0.8, 0.7], np.float32),
        found_classes=np.array([0, 0, 0]),
    )
    found, batch = as_batch([scene])
    return found, {**batch, "ignored": np.array([[REGION, [0, 0, 0, 0]]], np.float32)}


def test_an_evaluation_counts_neither_for_nor_against_what_is_found_in_a_region():
    settings = EvaluationSettings(("car",), (0.5,), shown_score=0.5)
    evaluator, inspection = (
        Evaluator(settings),
        ErrorAnalysis(settings, mean=np.zeros(1), scale=1.0, bgr=False),
    )
    evaluator.update(*_batch())
    inspection.update(*_batch())
    (car,) = evaluator.report().results[0].classes
    assert (car.true_positives, car.false_positives, car.objects) == (1, 1, 1)
    assert inspection.confusion.tolist() == [[1, 0], [1, 0]]
    assert (inspection.right.sum(), inspection.wrong.sum()) == (1, 1)
    assert len(inspection.false_alarms) == 1
    medium = inspection.by_size.results(0)["medium"]
    assert (medium.ap, medium.objects) == (pytest.approx(1.0), 1)
