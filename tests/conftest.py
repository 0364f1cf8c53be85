"""Set before any test module imports TensorFlow; and what every test may rely on."""

import gc
import os
import random
import sys
import time
from pathlib import Path

import hypothesis
import pytest

from frcnn.console.quiet_import import hook_tensorflow_import

BEGIN = time.monotonic()
_MARK = pytest.StashKey[float]()
_COLLECTED = pytest.StashKey[int]()
# Growth of the memory after which unused objects are freed.
_GROWTH = 256 << 20

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")
# The tests compute as the commands do, which import TensorFlow this way.
hook_tensorflow_import()

# The same examples in every run, and no deadline: the first call of an op compiles it.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    """For a CI whose time is limited: what fits is run, the rest is named."""
    parser.addoption("--minutes", type=float, help="start no test after these; those left are skipped")
    parser.addoption("--cpu-durations", type=int, metavar="N", help="name the N dearest phases in CPU time")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what begins too late, before its fixtures are made."""
    minutes = item.config.getoption("--minutes")
    if minutes is not None and time.monotonic() - BEGIN > 60 * minutes:
        pytest.skip(f"--minutes {minutes:g} are over: `make test-slow` runs all")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begins to count CPU seconds, so that collection counts for no test."""
    session.config.stash[_MARK] = _cpu_seconds()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Notes CPU seconds; escapes names that are not UTF-8 in captured output, which xdist cannot pass on."""
    report = yield
    now = _cpu_seconds()
    report.cpu_seconds = now - item.config.stash.get(_MARK, 0.0)
    item.config.stash[_MARK] = now
    report.sections = [tuple(map(_escaped, section)) for section in report.sections]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what `--cpu-durations` asks for, and the figures that tests record with `record_property`."""
    _write_cpu_durations(terminalreporter)
    lines = [
        f"{report.nodeid.rpartition('::')[2]}: {name}: {value}"
        for report in terminalreporter.getreports("passed")
        if report.when == "call"
        for name, value in report.user_properties
    ]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


def _write_cpu_durations(terminalreporter: pytest.TerminalReporter) -> None:
    """Names the setups, calls and teardowns that took most CPU time, their child processes included.

    Other than with `--durations`, it hardly matters what else the machine does. What was imported first by a
    test, such as TensorFlow, counts for that test.
    """
    count = terminalreporter.config.getoption("--cpu-durations")
    if count is None:
        return
    stats = terminalreporter.stats.values()
    reports = [each for group in stats for each in group if hasattr(each, "cpu_seconds")]
    reports.sort(key=lambda report: report.cpu_seconds, reverse=True)
    total = sum(report.cpu_seconds for report in reports)
    terminalreporter.section(f"CPU seconds of {total:.0f}")
    for report in reports[:count]:
        terminalreporter.write_line(f"{report.cpu_seconds:7.2f} {report.when:8} {report.nodeid}")


def _cpu_seconds() -> float:
    """CPU seconds of this process and of its ended children, in user and system mode."""
    return sum(os.times()[:4])


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item):
    """Frees models that are no longer used.

    They refer to themselves, so they live until Python collects such objects. It does so by their number,
    not by the memory they hold.
    """
    yield
    stash = item.config.stash
    if _resident_bytes() > stash.get(_COLLECTED, 0) + _GROWTH:
        gc.collect()
        stash[_COLLECTED] = _resident_bytes()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(autouse=True)
def random_state_left_alone():
    """Puts Python's and NumPy's global random state back after each test."""
    numpy = sys.modules.get("numpy")
    before = random.getstate(), numpy.random.get_state() if numpy else None
    yield
    random.setstate(before[0])
    if numpy:
        numpy.random.set_state(before[1])
