import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection

import pytest

from frcnn.data.conversion.parallel import CHUNKS_AHEAD, ordered_map
from frcnn.errors import DataError, RunError
from tests.support.unmeasured import unmeasured


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


def _killed_while_it_writes(number):
    if number == 3:

        def send(self, buffer):
            os.write(self.fileno(), bytes(buffer[:3]))
            os.kill(os.getpid(), signal.SIGKILL)

        Connection._send = send
    return number


def test_a_process_that_is_killed_while_it_writes_a_result_is_a_run_error():
    with pytest.raises(RunError, match=r"killed.*fewer workers"):
        list(ordered_map(_killed_while_it_writes, range(20), 2))


# The signal arrives while the workers start.
SIGNALED = """
import os, signal, sys, time
from frcnn.console.exit_codes import exit_code
from frcnn.console.signals import terminate_as_interrupt
from frcnn.data.conversion.parallel import ordered_map

signal.signal(signal.SIGINT, signal.default_int_handler)

def chunks():
    yield 600
    os.killpg(0, signal.{name})
    yield 600

try:
    with terminate_as_interrupt():
        list(ordered_map(time.sleep, chunks(), 2))
except KeyboardInterrupt as error:
    sys.exit(exit_code(error))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGTERM"])
def test_a_signal_to_all_processes_ends_them_without_a_word(name):
    done = subprocess.run(
        [sys.executable, "-c", SIGNALED.replace("{name}", name)],
        env=unmeasured() | {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
        start_new_session=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.Signals[name], "", "")
