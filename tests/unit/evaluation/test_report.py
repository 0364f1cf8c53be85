import json
import math

import numpy as np
import pytest

from frcnn.evaluation.average_precision import trace_curve
from frcnn.evaluation.report import AtScore, ClassResult, IoUResult, Report, best_f1


def result(name, ap, rpn_recall=0.9, **counts):
    known = ap is not None
    numbers = {"objects": 4 if known else 0, "difficult": 1, "true_positives": 3, "false_positives": 2}
    shown = AtScore(0.6, 2, 1, 4) if known else AtScore(0.6, 0, 2, 0)
    best = AtScore(0.4, 3, 1, 4) if known else None
    numbers |= {"shown": shown, "best_f1": best}
    return ClassResult(name, ap, 0.6, 0.75 if known else None, rpn_recall, **numbers | counts)


def report_of(*results):
    return Report(results, metric="VOC12", score_threshold=0.01, images=7)


def test_the_table_has_the_layout_users_know():
    report = report_of(IoUResult(0.5, (result("car", 0.625), result("dog", None, rpn_recall=None))))
    assert report.table().splitlines() == [
        "Precision and recall count detections with a score of at least 0.60 (bbox_visualize_threshold).",
        "At IoU 0.5 they find 2 of 4 objects and miss 2; 3 of 5 detections are wrong.",
        "=" * 90,
        "Class               AP                  precision           recall              RPN_recall",
        "-" * 90,
        "car                 0.6250              0.6667              0.5000              0.9000",
        "-" * 90,
        "dog                 -                   0.0000              -                   -",
        "-" * 90,
        "mAP@0.5 = 0.6250",
    ]


def test_the_table_of_a_range_ends_with_the_mean_over_it():
    report = report_of(IoUResult(0.5, (result("car", 0.6),)), IoUResult(0.55, (result("car", 0.5),)))
    lines = report.table().splitlines()
    assert [line for line in lines if line.startswith("mAP")] == [
        "mAP@0.5 = 0.6000",
        "mAP@0.55 = 0.5000",
        "mAP@[0.5:0.55] = 0.5500",
    ]


def test_the_column_of_rpn_recall_is_left_out_where_no_rois_are_known():
    table = report_of(IoUResult(0.5, (result("car", 0.6, rpn_recall=None),))).table()
    assert "RPN_recall" not in table


def test_json_holds_every_number_and_null_for_what_is_not_defined():
    report = report_of(IoUResult(0.5, (result("car", 0.625), result("dog", None))))
    content = json.loads(report.to_json())
    assert content["mAP"] == 0.625
    assert (content["metric"], content["object_confidence_thres"], content["images"]) == ("VOC12", 0.01, 7)
    assert content["iou"]["0.50"]["mAP"] == 0.625
    assert content["iou"]["0.50"]["classes"]["car"] == {
        "name": "car",
        "ap": 0.625,
        "precision": 0.6,
        "recall": 0.75,
        "rpn_recall": 0.9,
        "objects": 4,
        "difficult": 1,
        "true_positives": 3,
        "false_positives": 2,
        "shown": {
            "score": 0.6,
            "found": 2,
            "missed": 2,
            "wrong": 1,
            "precision": 2 / 3,
            "recall": 0.5,
            "f1": 4 / 7,
        },
        "best_f1": {
            "score": 0.4,
            "found": 3,
            "missed": 1,
            "wrong": 1,
            "precision": 0.75,
            "recall": 0.75,
            "f1": 0.75,
        },
    }
    assert content["iou"]["0.50"]["shown"]["wrong"] == 3
    assert content["iou"]["0.50"]["best_f1"] is None
    assert content["iou"]["0.50"]["classes"]["dog"]["ap"] is None


def test_log_entries_are_named_after_the_threshold():
    report = report_of(IoUResult(0.5, (result("car", 0.6),)), IoUResult(0.75, (result("car", 0.4),)))
    assert report.logs() == {"mAP@0.50": 0.6, "mAP@0.75": 0.4, "mAP": 0.5}


def test_an_undefined_map_is_nan_in_the_log_and_a_dash_in_the_table():
    report = report_of(IoUResult(0.5, (result("dog", None),)))
    assert math.isnan(report.logs()["mAP@0.50"])
    assert report.table().endswith("mAP@0.5 = -")


def test_the_best_f1_is_that_of_a_search_over_every_score():
    random = np.random.default_rng(3)
    scores, correct = random.random(60).round(2), random.random(60) < 0.6
    expected = max(
        ((2 * correct[scores >= score].sum() / ((scores >= score).sum() + 50)), score) for score in scores
    )
    best = best_f1(trace_curve(scores, correct, 50))
    assert (best.f1, best.score) == pytest.approx(expected)
    assert best.f1 == pytest.approx(2 * best.precision * best.recall / (best.precision + best.recall))


def test_without_a_correct_detection_there_is_no_best_f1():
    assert best_f1(trace_curve(np.array([0.9]), np.array([False]), 2)) is None
    assert best_f1(None) is None


def test_a_class_without_detections_has_no_precision():
    nothing = AtScore(0.6, 0, 0, 3)
    assert (nothing.precision, nothing.recall, nothing.f1, nothing.missed) == (None, 0.0, 0.0, 3)
