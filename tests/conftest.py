"""Set before any test module imports TensorFlow; and what every test may rely on."""

import os
import random
import sys
import time

import hypothesis
import pytest

BEGIN = time.monotonic()

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

# The same examples in every run, and no deadline: the first call of an op compiles it.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    """For a CI whose time is limited: what fits is run, the rest is named."""
    parser.addoption("--minutes", type=float, help="start no test after these; those left are skipped")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what begins too late, before its fixtures are made."""
    minutes = item.config.getoption("--minutes")
    if minutes is not None and time.monotonic() - BEGIN > 60 * minutes:
        pytest.skip(f"--minutes {minutes:g} are over: `make test-slow` runs all")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Escapes file names that are not UTF-8 in captured output, which xdist could not pass on."""
    report = yield
    report.sections = [tuple(map(_escaped, section)) for section in report.sections]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the figures that tests record with `record_property`: kill points, orders, peaks of memory."""
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


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


@pytest.fixture(autouse=True)
def random_state_left_alone():
    """Puts Python's and NumPy's global random state back after each test."""
    numpy = sys.modules.get("numpy")
    before = random.getstate(), numpy.random.get_state() if numpy else None
    yield
    random.setstate(before[0])
    if numpy:
        numpy.random.set_state(before[1])
