"""What the table of minutes to an mAP says of trainings."""

import pytest

from benchmarks.accuracy_results import Result, Run
from benchmarks.time_to_map import minutes_to, table


def result(side: str, seed: int, minutes: list[float], maps: list[float]) -> Result:
    return Result(Run(side, seed), minutes, [(value, 0.0) for value in maps], (0.0, 0.0), (0.0, 0.0))


@pytest.mark.parametrize(("wanted", "minutes"), [(0.4, 1.0), (0.75, 3.0), (0.9, None)])
def test_the_first_epoch_that_reaches_the_map_counts(wanted, minutes):
    assert minutes_to(result("ours", 1, [1.0, 2.0, 3.0, 4.0], [0.5, 0.7, 0.8, 0.74]), wanted) == minutes


def test_each_seed_has_its_speedup_and_the_medians_stand_last():
    results = [
        result("ours", 1, [1.0, 2.0], [0.8, 0.8]),
        result("peer", 1, [2.0, 4.0], [0.5, 0.8]),
        result("ours", 2, [1.0, 2.0], [0.7, 0.8]),
        result("peer", 2, [3.0, 6.0], [0.2, 0.9]),
        result("ours", 3, [1.0, 2.0], [0.8, 0.9]),
        result("peer", 3, [3.0, 6.0], [0.2, 0.3]),
    ]
    assert table(results, 0.75).splitlines()[2:] == [
        "| 1 | 1.0 | 4.0 | 4.0 |",
        "| 2 | 2.0 | 6.0 | 3.0 |",
        "| 3 | 1.0 | not reached |  |",
        "| median | 1.0 | 6.0 | 3.5 (3.0 to 4.0) |",
    ]


def test_without_a_pair_that_reached_it_no_median_is_claimed():
    results = [result("ours", 1, [1.0], [0.8]), result("peer", 1, [1.0], [0.2])]
    assert table(results, 0.75).splitlines()[2:] == ["| 1 | 1.0 | not reached |  |"]
