import os
import time

import pytest

from frcnn.data.conversion.parallel import CHUNKS_AHEAD, default_workers, ordered_map
from frcnn.errors import DataError, RunError


def _negative_slower_for_even(number):
    time.sleep(0.01 * (number % 2 == 0))
    return -number


def _fails_at_3(number):
    if number == 3:
        raise DataError("number 3 is broken")
    return number


def _dies(_):
    os._exit(1)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_chunks(workers):
    assert list(ordered_map(_negative_slower_for_even, range(20), workers)) == [-n for n in range(20)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_function_comes_through(workers):
    results = ordered_map(_fails_at_3, range(10), workers)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="number 3"):
        next(results)


def test_chunks_are_drawn_no_faster_than_results_are_taken():
    drawn = []
    results = ordered_map(_negative_slower_for_even, (drawn.append(n) or n for n in range(1000)), 2)
    for taken in range(1, 5):
        next(results)
        assert len(drawn) <= taken + 2 * CHUNKS_AHEAD
    results.close()


def test_a_dead_process_is_a_run_error():
    with pytest.raises(RunError, match=r"killed.*fewer workers"):
        list(ordered_map(_dies, range(3), 2))


def test_there_is_a_worker_for_each_core():
    assert 1 <= default_workers() <= os.cpu_count()
