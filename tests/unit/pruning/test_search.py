import pytest

from frcnn.errors import UsageError
from frcnn.pruning.prune import plan_networks
from frcnn.pruning.search import _shortest
from frcnn.pruning.settings import PruneSettings
from tests.unit.pruning.networks import classify, conv, image, network, randomise


@pytest.fixture(scope="module")
def whole():
    x = image()
    made = network(x, classify(conv(conv(x, 16, "a"), 24, "b")))
    randomise([made])
    return made


def outcome(whole, **settings):
    return plan_networks([whole], PruneSettings(pruning_granularity=1, min_num_filters=2, **settings))


def test_the_threshold_is_the_smallest_that_meets_the_target(whole):
    report = outcome(whole, target_params=0.4).report
    assert report.pruning_ratio <= 0.4
    scores = []
    for step in range(1, 200):
        other = outcome(whole, pruning_threshold=step / 200).report
        scores.append((other.threshold, other.pruning_ratio))
    assert all(ratio > 0.4 for threshold, ratio in scores if threshold < report.threshold)
    assert all(ratio <= 0.4 for threshold, ratio in scores if threshold >= report.threshold)


def test_the_found_threshold_given_by_hand_makes_the_same_plan(whole):
    found = outcome(whole, target_flops=0.3)
    again = outcome(whole, pruning_threshold=float(f"{found.report.threshold:.16g}"))
    assert found.report.flops_ratio <= 0.3
    assert (found.plan.keep == again.plan.keep).all()


def test_two_targets_are_both_met(whole):
    report = outcome(whole, target_params=0.9, target_flops=0.2).report
    assert report.flops_ratio <= 0.2 and report.pruning_ratio <= 0.9
    report = outcome(whole, target_params=0.2, target_flops=0.9).report
    assert report.pruning_ratio <= 0.2


def test_a_target_out_of_reach_says_what_is_in_reach(whole):
    with pytest.raises(
        UsageError, match=r"target_params 0.001: the smallest reachable fraction is 0\.\d+, with at least 2"
    ):
        outcome(whole, target_params=0.001)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.46371, 0.46589, 0.464),
        (0.46371, 0.46379, 0.46371),
        (0.0, 0.3, 0.0),
        (1.98, 2.4, 2.0),
        (0.5, 0.6, 0.5),
    ],
)
def test_a_threshold_is_told_in_as_few_digits_as_do(low, high, expected):
    assert _shortest(low, high) == expected
