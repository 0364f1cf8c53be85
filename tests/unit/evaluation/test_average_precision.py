import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frcnn.evaluation.average_precision import average_precision_voc07, average_precision_voc12, trace_curve
from tests.support.reference_evaluation import plain_average_precision

outcome_lists = st.lists(st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.booleans()), max_size=40)


def curve_of(outcomes, objects):
    scores, correct = ([each[at] for each in outcomes] for at in (0, 1))
    return trace_curve(np.asarray(scores, np.float32), np.asarray(correct, bool), objects)


def golden_curve():
    return curve_of([(0.9, True), (0.8, False), (0.7, True), (0.6, True), (0.5, False)], objects=4)


def test_voc07_has_the_golden_value():
    assert average_precision_voc07(golden_curve()) == pytest.approx(0.613636, abs=5e-7)


def test_voc12_has_the_golden_value():
    assert average_precision_voc12(golden_curve()) == pytest.approx(0.625, abs=1e-12)


def test_precision_and_recall_end_at_the_golden_values():
    assert (golden_curve().precision[-1], golden_curve().recall[-1]) == (0.6, 0.75)


def test_three_of_ten_objects_reach_recall_three_tenths():
    curve = curve_of([(0.9, True), (0.8, True), (0.7, True)], objects=10)
    assert average_precision_voc07(curve) == pytest.approx(4 / 11)


def test_perfect_detections_have_an_ap_of_one_and_none_have_zero():
    perfect, none = curve_of([(0.9, True), (0.8, True)], 2), curve_of([], 2)
    assert average_precision_voc07(perfect) == average_precision_voc12(perfect) == 1.0
    assert average_precision_voc07(none) == average_precision_voc12(none) == 0.0


def test_equal_scores_count_together_whatever_their_order():
    one_way, other_way = curve_of([(0.9, True), (0.9, False)], 1), curve_of([(0.9, False), (0.9, True)], 1)
    assert average_precision_voc12(one_way) == average_precision_voc12(other_way) == 0.5


@given(outcomes=outcome_lists, spare=st.integers(0, 5), voc07=st.booleans())
def test_ap_agrees_with_a_plain_implementation(outcomes, spare, voc07):
    objects = sum(right for _, right in outcomes) + spare + 1
    curve = curve_of(outcomes, objects)
    ap = average_precision_voc07(curve) if voc07 else average_precision_voc12(curve)
    assert ap == pytest.approx(plain_average_precision(outcomes, objects, voc07), abs=1e-9)
