import numpy as np
import pytest

from frcnn.evaluation.settings import iou_label, iou_range


def float32(*values):
    return [float(np.float32(value)) for value in values]


def test_the_range_of_coco_has_ten_thresholds():
    assert iou_range(*float32(0.5, 1.0, 0.05)) == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@pytest.mark.parametrize("end", [0.6, 0.7, 0.8, 0.9])
def test_the_end_is_left_out_although_float32_is_inexact(end):
    assert iou_range(*float32(0.3, end, 0.1))[-1] == pytest.approx(end - 0.1)


def test_a_label_has_two_digits_and_more_only_where_needed():
    assert [iou_label(iou) for iou in (0.5, 0.55, 0.525)] == ["0.50", "0.55", "0.525"]
