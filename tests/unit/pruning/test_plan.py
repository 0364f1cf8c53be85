import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frcnn.errors import UsageError
from frcnn.pruning.graph import ChannelGraph
from frcnn.pruning.plan import Group, check_threshold, keep_count, make_plan
from frcnn.pruning.settings import PruneSettings

SCORES = np.array([0.2, 0.9, 0.4, 0.9, 0.1, 1.0])
GRAPH = ChannelGraph((), 6, {}, ())
GROUPS = (Group(("conv",), np.arange(6), SCORES),)


@pytest.mark.parametrize(
    ("total", "above", "granularity", "least", "kept"),
    # Golden values of TAO; docs/compression.md has the rules.
    [
        (64, 13, 8, 16, 16),
        (64, 17, 8, 16, 24),
        (12, 3, 8, 16, 12),
        (100, 98, 8, 16, 100),
        (64, 0, 8, 16, 16),
        (64, 30, 16, 16, 32),
    ],
)
def test_golden_counts(total, above, granularity, least, kept):
    assert keep_count(total, above, granularity, least) == kept


@given(st.integers(1, 300), st.integers(0, 300), st.integers(1, 40), st.integers(1, 64))
def test_a_count_is_enough_a_multiple_and_no_more_than_needed(total, above, granularity, least):
    above = min(above, total)
    kept = keep_count(total, above, granularity, least)
    assert max(min(least, total), above, 1) <= kept <= total
    assert kept == total or kept % granularity == 0
    assert kept - max(min(least, total), above) < granularity


def plan(threshold, granularity=1, least=1):
    settings = PruneSettings(pruning_granularity=granularity, min_num_filters=least)
    return make_plan(GRAPH, GROUPS, settings, threshold).keep.tolist()


def test_the_largest_stay_in_their_old_order():
    assert plan(0.5) == [False, True, False, True, False, True]


def test_a_score_equal_to_the_threshold_is_not_above_it():
    assert plan(0.9) == [False, False, False, False, False, True]


def test_of_equal_scores_the_earlier_stays():
    assert plan(0.95, granularity=2) == [False, True, False, False, False, True]


def test_rounding_up_takes_the_next_best():
    assert plan(0.5, granularity=4) == [False, True, True, True, False, True]


def test_the_least_number_is_kept_whatever_the_threshold():
    assert plan(0.95, least=5) == [True, True, True, True, False, True]


def test_a_threshold_above_every_score_names_the_highest():
    with pytest.raises(UsageError, match=r"pruning_threshold 1: no filter .* threshold < 1, the highest"):
        check_threshold(GROUPS, 1.0)
    check_threshold(GROUPS, 0.99)
    check_threshold((), 5.0)
