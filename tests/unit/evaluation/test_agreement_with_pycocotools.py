"""Told to use our definitions, pycocotools gives our numbers with `coco_matching`; see docs/evaluation.md."""

import numpy as np
import pytest

from frcnn.evaluation.evaluator import Evaluator
from frcnn.evaluation.settings import EvaluationSettings, iou_range
from tests.support.detection_scenes import Scene, as_batch, random_scenes

pytest.importorskip("pycocotools", reason="the peer library is not installed")
from tests.support.coco_peer import coco_ap

THRESHOLDS = iou_range(0.5, 1.0, 0.05)
# A hair lower: as floats, 3 of 10 objects miss recall 0.3, and ours are compared as fractions.
ELEVEN = np.linspace(0, 1, 11) - 1e-9
NAMES = ("bus", "car", "dog")


def our_ap(scenes, *, voc07):
    evaluator = Evaluator(EvaluationSettings(NAMES, THRESHOLDS, voc07=voc07, coco_matching=True))
    evaluator.update(*as_batch(scenes))
    results = evaluator.report().results
    return np.asarray([[each.ap for each in result.classes] for result in results], float)


def objects_of(scenes, name):
    return sum(int(((scene.classes == name) & ~scene.difficult).sum()) for scene in scenes)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("crowding", [20.0, 80.0])
def test_voc07_is_cocos_precision_at_eleven_recalls(seed, crowding):
    scenes = random_scenes(seed, images=40, crowding=crowding)
    coco = coco_ap(scenes, len(NAMES), THRESHOLDS, recalls=ELEVEN)
    np.testing.assert_allclose(our_ap(scenes, voc07=True), coco, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_voc12_is_cocos_precision_at_every_recall_there_is(seed):
    scenes = random_scenes(seed, images=40)
    ours = our_ap(scenes, voc07=False)
    for name in range(len(NAMES)):
        objects = objects_of(scenes, name)
        recalls = np.arange(1, objects + 1) / objects
        coco = coco_ap(scenes, len(NAMES), THRESHOLDS, recalls=recalls)
        np.testing.assert_allclose(ours[:, name], coco[:, name], atol=1e-9)


def test_a_crafted_crowd_gives_the_same_matches():
    # Two neighbors and a difficult one between them, each seen twice: second-best matches decide.
    boxes = np.asarray([[20, 20, 59, 59], [20, 40, 59, 79], [20, 30, 59, 69]])
    found = np.asarray(
        [[20, 22, 59, 61], [20, 24, 59, 63], [20, 36, 59, 75], [20, 28, 59, 67], [20, 32, 59, 71]]
    )
    scores = np.float32([0.9, 0.8, 0.7, 0.6, 0.5])
    scene = Scene(boxes, np.zeros(3, int), np.asarray([False, False, True]), found, scores, np.zeros(5, int))
    coco = coco_ap([scene], len(NAMES), THRESHOLDS, recalls=ELEVEN)
    np.testing.assert_allclose(our_ap([scene], voc07=True), coco, atol=1e-9)


def test_a_class_without_objects_has_no_ap_here_and_there():
    scenes = random_scenes(seed=5, images=10, classes=2)
    assert np.isnan(our_ap(scenes, voc07=False)[:, 2]).all()
    assert np.isnan(coco_ap(scenes, len(NAMES), THRESHOLDS)[:, 2]).all()


def test_cocos_own_definitions_differ_by_less_than_documented():
    scenes = random_scenes(seed=0, images=300)
    ours = our_ap(scenes, voc07=False).mean()
    interpolation = coco_ap(scenes, len(NAMES), THRESHOLDS).mean() - ours
    widths = coco_ap(scenes, len(NAMES), THRESHOLDS, extra=0.0).mean() - ours - interpolation
    assert abs(interpolation) < 0.005
    assert -0.03 < widths < 0.0  # without the +1 all boxes overlap less
