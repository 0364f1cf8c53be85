import json
import math

from frcnn.evaluation.report import ClassResult, IoUResult, Report


def result(name, ap, rpn_recall=0.9, **counts):
    known = ap is not None
    numbers = {"objects": 4 if known else 0, "difficult": 1, "true_positives": 3, "false_positives": 2}
    return ClassResult(name, ap, 0.6, 0.75 if known else None, rpn_recall, **numbers | counts)


def report_of(*results):
    return Report(results, metric="VOC12", score_threshold=0.01, images=7)


def test_the_table_has_the_layout_users_know():
    report = report_of(IoUResult(0.5, (result("car", 0.625), result("dog", None, rpn_recall=None))))
    assert report.table().splitlines() == [
        "=" * 90,
        "Class               AP                  precision           recall              RPN_recall",
        "-" * 90,
        "car                 0.6250              0.6000              0.7500              0.9000",
        "-" * 90,
        "dog                 -                   0.6000              -                   -",
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
    }
    assert content["iou"]["0.50"]["classes"]["dog"]["ap"] is None


def test_log_entries_are_named_after_the_threshold():
    report = report_of(IoUResult(0.5, (result("car", 0.6),)), IoUResult(0.75, (result("car", 0.4),)))
    assert report.logs() == {"mAP@0.50": 0.6, "mAP@0.75": 0.4, "mAP": 0.5}


def test_an_undefined_map_is_nan_in_the_log_and_a_dash_in_the_table():
    report = report_of(IoUResult(0.5, (result("dog", None),)))
    assert math.isnan(report.logs()["mAP@0.50"])
    assert report.table().endswith("mAP@0.5 = -")
