import math

import pytest

from frcnn.errors import UsageError
from frcnn.steps.quality_gate import Gate


@pytest.mark.parametrize(
    ("gate", "mean_ap", "passes"),
    [
        (Gate(), 0.0, True),
        (Gate(minimum=0.5), 0.5, True),
        (Gate(minimum=0.5), 0.4999, False),
        (Gate(baseline=0.75, tolerance=0.25), 0.5, True),
        (Gate(baseline=0.75, tolerance=0.125), 0.5, False),
        (Gate(baseline=0.5), 0.5, True),
        (Gate(baseline=0.0), 0.0, True),
        (Gate(minimum=0.4, baseline=0.5, tolerance=1.0), 0.3, False),
    ],
)
def test_minimum_and_baseline_with_tolerance_decide(gate, mean_ap, passes):
    assert (not gate.objections(mean_ap)) == passes


def test_every_objection_says_both_numbers():
    found = Gate(minimum=0.5, baseline=0.6, tolerance=0.05).objections(0.4)
    assert found == (
        "mAP 0.4000 is below the minimum 0.5000",
        "mAP 0.4000 is more than 0.0500 below the 0.6000 of the model it would replace",
    )


@pytest.mark.parametrize(
    "wrong",
    [{"minimum": 50}, {"minimum": -0.1}, {"baseline": 1.5}, {"tolerance": -0.1}, {"tolerance": math.nan}],
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match="expected"):
        Gate(**wrong)
