import dataclasses
import types

import numpy as np
import pytest

from frcnn.data.records.unchanged import FileStates
from frcnn.errors import DataError
from frcnn.evaluation.evaluation_state import EvaluationState
from frcnn.evaluation.evaluator import Evaluator, evaluate
from frcnn.evaluation.settings import EvaluationSettings
from frcnn.model.batch_detector import DetectionBatch
from frcnn.settings.evaluation import evaluation_settings
from tests.support.detection_scenes import HEIGHT, WIDTH, Scene, as_batch, random_scenes
from tests.support.reference_evaluation import plain_average_precision, plain_outcomes

SETTINGS = EvaluationSettings(("bus", "car", "dog"), (0.5, 0.75))


def report_of(scenes, settings=SETTINGS):
    evaluator = Evaluator(settings)
    evaluator.update(*as_batch(scenes))
    return evaluator.report()


def one_scene(boxes, found, scores, *, classes=None, difficult=None, found_classes=None):
    boxes, found = np.reshape(boxes, (-1, 4)), np.reshape(found, (-1, 4))
    return Scene(
        boxes=boxes,
        classes=np.zeros(len(boxes), int) if classes is None else np.asarray(classes),
        difficult=np.zeros(len(boxes), bool) if difficult is None else np.asarray(difficult),
        found_boxes=found,
        scores=np.asarray(scores, np.float32),
        found_classes=np.zeros(len(found), int) if found_classes is None else np.asarray(found_classes),
    )


@pytest.mark.parametrize("voc07", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_report_agrees_with_a_plain_implementation(seed, voc07):
    scenes = random_scenes(seed, images=25)
    report = report_of(scenes, dataclasses.replace(SETTINGS, voc07=voc07))
    for result in report.results:
        for name, each in enumerate(result.classes):
            outcomes = [one for scene in scenes for one in plain_outcomes(scene, name, result.iou)]
            right = sum(correct for _, correct in outcomes)
            assert each.ap == pytest.approx(plain_average_precision(outcomes, each.objects, voc07), abs=1e-9)
            assert each.precision == pytest.approx(right / len(outcomes))
            assert each.recall == pytest.approx(right / each.objects)
            assert each.true_positives + each.false_positives == len(outcomes)


def test_means_are_plain_means_over_classes_and_thresholds():
    report = report_of(random_scenes(seed=3, images=25))
    means = [np.mean([each.ap for each in result.classes]) for result in report.results]
    assert [result.mean_ap for result in report.results] == pytest.approx(means)
    assert report.mean_ap == pytest.approx(np.mean(means))


def test_sharded_evaluation_equals_one_pass_whatever_the_order():
    scenes = random_scenes(seed=4, images=30)
    for scene in scenes:
        scene.scores[:] = np.round(scene.scores, 1)  # many equal scores across images
    parts = []
    for share in (scenes[2::3], scenes[0::3], scenes[1::3]):
        evaluator = Evaluator(SETTINGS)
        evaluator.update(*as_batch(share))
        parts.append(evaluator.tally().to_arrays())
    merged = Evaluator(SETTINGS)
    for arrays in parts:
        merged.merge(EvaluationState.from_arrays(arrays))
    assert merged.report() == report_of(scenes)


def test_predictions_are_cut_to_whole_pixels_inside_the_image():
    # As floats each of these misses; truncated and clipped they are the object itself.
    border = [HEIGHT - 11, WIDTH - 11, HEIGHT - 1, WIDTH - 1]
    scene = one_scene(border, [HEIGHT - 10.01, WIDTH - 10.01, HEIGHT + 30.0, WIDTH + 30.0], [0.9])
    assert report_of([scene], dataclasses.replace(SETTINGS, iou_thresholds=(0.99,))).mean_ap == 1.0


def test_detections_below_the_score_threshold_do_not_count():
    scene = one_scene([[10, 10, 50, 50]], [[10, 10, 50, 50], [90, 90, 99, 99]], [0.4, 0.2])
    strict = report_of([scene], dataclasses.replace(SETTINGS, score_threshold=0.3)).results[0].classes[0]
    assert (strict.true_positives, strict.false_positives) == (1, 0)
    lax = report_of([scene], dataclasses.replace(SETTINGS, score_threshold=0.1)).results[0].classes[0]
    assert (lax.true_positives, lax.false_positives) == (1, 1)


def test_filler_images_and_padded_slots_do_not_count():
    scenes = random_scenes(seed=6, images=8)
    found, batch = as_batch(scenes)
    batch["image_valid"][5:] = False
    for index, count in enumerate(found.count):  # rubbish in the padding
        found.scores[index, count:], found.boxes[index, count:] = 0.99, (5, 5, 50, 50)
    evaluator = Evaluator(SETTINGS)
    evaluator.update(found, batch)
    report = evaluator.report()
    assert report.images == 5
    assert report == report_of(scenes[:5])


def test_the_first_class_has_no_ap_when_it_has_no_objects():
    scene = one_scene([[10, 10, 50, 50]], [[10, 10, 50, 50]], [0.9], classes=[1], found_classes=[1])
    report = report_of([scene])
    assert [each.ap for each in report.results[0].classes] == [None, 1.0, None]
    assert report.mean_ap == 1.0


def test_a_class_of_difficult_objects_only_has_no_ap_but_an_rpn_recall():
    scene = one_scene([[10, 10, 50, 50]], [[10, 10, 50, 50]], [0.9], difficult=[True])
    result = report_of([scene]).results[0].classes[0]
    assert (result.ap, result.recall, result.rpn_recall) == (None, None, 1.0)
    assert (result.true_positives, result.false_positives) == (0, 0)


def test_rpn_recall_is_the_share_of_objects_with_a_roi_of_any_class():
    boxes = [[10, 10, 49, 49], [100, 100, 139, 139], [10, 200, 49, 239]]
    # The RoIs are the detections' boxes here: the second misses IoU 0.5, the third object is difficult.
    found = [[10, 10, 49, 49], [120, 120, 159, 159], [10, 200, 49, 239]]
    scene = one_scene(boxes, found, [0.9, 0.8, 0.7], difficult=[False, False, True], found_classes=[1, 1, 1])
    for result in report_of([scene]).results:
        assert result.classes[0].rpn_recall == pytest.approx(2 / 3)


def test_rpn_recall_counts_an_iou_of_exactly_half():
    boxes, halves = [[0, 0, 19, 19], [90, 90, 109, 109]], [[0, 0, 9, 19], [90, 90, 109, 99]]
    result = report_of([one_scene(boxes, halves, [0.9, 0.8])]).results[0].classes[0]
    # The detections are the same boxes, and for them half is not enough.
    assert (result.rpn_recall, result.true_positives) == (1.0, 0)
    scene = one_scene([[0, 0, 19, 19]], [[0, 0, 9, 18]], [0.9])
    assert report_of([scene]).results[0].classes[0].rpn_recall == 0.0


def test_detections_of_difficult_objects_cost_no_precision():
    boxes = [[10, 10, 49, 49], [100, 100, 139, 139]]
    found = [boxes[1], boxes[1], boxes[0], boxes[1]]
    scene = one_scene(boxes, found, [0.9, 0.8, 0.7, 0.6], difficult=[False, True])
    result = report_of([scene]).results[0].classes[0]
    assert (result.ap, result.precision, result.true_positives, result.false_positives) == (1.0, 1.0, 1, 0)


def test_rpn_recall_is_unknown_without_rois():
    found, batch = as_batch(random_scenes(seed=7, images=4))
    evaluator = Evaluator(SETTINGS)
    evaluator.update(found._replace(rois=None), batch)
    assert {each.rpn_recall for each in evaluator.report().results[0].classes} == {None}


class Batches:
    """Stands for the tf.data part of a validation data set."""

    def __init__(self, batches):
        self._batches = batches

    def as_numpy_iterator(self):
        return iter(self._batches)


def spec_of(names, **evaluation):
    defaults = {
        "object_confidence_thres": 0.01,
        "use_voc07_11point_metric": False,
        "coco_matching": False,
        "gt_matching_iou_threshold": 0.5,
        "gt_matching_iou_threshold_range": None,
    }
    config = types.SimpleNamespace(**defaults | evaluation)
    shown = types.SimpleNamespace(bbox_visualize_threshold=0.6)
    return types.SimpleNamespace(class_names=names, evaluation_config=config, inference_config=shown)


def test_detections_are_cut_at_the_images_own_border_where_it_is_padded():
    found, batch = as_batch([one_scene([[0, 0, 99, 149]], [[0, 0, 230, 310]], [0.9])])
    precise = EvaluationSettings(("car",), (0.95,))
    means = []
    for batch["size"] in (np.int32([[100, 150]]), np.int32([[HEIGHT, WIDTH]])):
        evaluator = Evaluator(precise)
        evaluator.update(found, batch)
        means.append(evaluator.report().mean_ap)
    assert means == [1.0, 0.0]


def test_evaluate_sees_each_batch_once_and_uses_the_settings_of_the_spec():
    scenes = random_scenes(seed=8, images=10)
    pairs = [as_batch(scenes[:6]), as_batch(scenes[6:])]
    answers = iter([found for found, _ in pairs])
    wanted = types.SimpleNamespace(start=0.5, end=0.8, step=0.1)
    spec = spec_of(
        SETTINGS.class_names, gt_matching_iou_threshold_range=wanted, use_voc07_11point_metric=True
    )
    dataset = types.SimpleNamespace(
        batches=Batches([batch for _, batch in pairs]), size=10, steps_per_epoch=2, files=FileStates(())
    )
    report = evaluate(lambda images, sizes: next(answers), dataset, evaluation_settings(spec))
    assert [result.iou for result in report.results] == [0.5, 0.6, 0.7]
    assert (report.images, report.metric, report.score_threshold) == (10, "VOC07", 0.01)
    settings = EvaluationSettings(SETTINGS.class_names, (0.5, 0.6, 0.7), 0.01, voc07=True)
    assert report == report_of(scenes, settings)


def test_an_evaluation_whose_records_are_replaced_has_no_result(tmp_path):
    record_file = tmp_path / "records"
    record_file.write_bytes(b"old")
    found, batch = as_batch(random_scenes(seed=8, images=2))
    dataset = types.SimpleNamespace(
        batches=Batches([batch]), size=2, steps_per_epoch=1, files=FileStates.of([record_file])
    )

    def detect(images, sizes):
        record_file.write_bytes(b"other")
        return found

    with pytest.raises(DataError, match=f"{record_file} was replaced while it was in use"):
        evaluate(detect, dataset, SETTINGS)


def test_evaluate_says_when_images_are_missing_and_when_there_are_no_objects(caplog):
    found, batch = as_batch([one_scene([], [[5, 5, 9, 9]], [0.9])])
    dataset = types.SimpleNamespace(batches=Batches([batch]), size=3, steps_per_epoch=1, files=FileStates(()))
    report = evaluate(
        lambda images, sizes: found,
        dataset,
        evaluation_settings(spec_of(("car",), gt_matching_iou_threshold=0.0)),
    )
    assert report.results[0].iou == 0.5  # the documented default
    assert report.mean_ap is None
    assert "2 of 3 images could not be read" in caplog.text
    assert "has a labeled object of car" in caplog.text


def test_no_image_at_all_gives_an_empty_report():
    report = Evaluator(SETTINGS).report()
    assert (report.images, report.mean_ap) == (0, None)
    assert isinstance(report.to_json(), str)


def test_detections_are_a_plain_named_tuple():
    batch = DetectionBatch(*(np.zeros(1) for _ in range(4)))
    assert batch.rois is None
