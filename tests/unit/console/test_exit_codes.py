"""Errors that are raised while an interrupted run cleans up."""

import contextlib
import signal

import pytest

from frcnn.console.exit_codes import exit_code, message, report
from frcnn.console.signals import Terminated
from frcnn.errors import RunError


@contextlib.contextmanager
def cleanup(error):
    """A block of another library, whose cleanup fails because it was interrupted."""
    try:
        yield
    finally:
        raise error


def caught(interrupt, error):
    try:
        with cleanup(error):
            raise interrupt
    except BaseException as found:
        return found


@pytest.mark.parametrize(
    ("interrupt", "code", "text"),
    [(KeyboardInterrupt(), 130, "interrupted; "), (Terminated(signal.SIGHUP), 129, "terminated (SIGHUP); ")],
)
@pytest.mark.parametrize(
    "error", [RuntimeError("no proper nesting"), FileNotFoundError(2, "No such file", "a")]
)
def test_an_error_of_the_cleanup_does_not_hide_the_interrupt(interrupt, code, text, error, caplog):
    found = caught(interrupt, error)
    assert (exit_code(found), report(found, verbose=False)) == (code, code)
    assert message(found).startswith(text)
    (record,) = caplog.records
    assert record.getMessage().startswith(text)
    assert record.exc_info is None


def test_an_error_with_a_message_for_people_replaces_the_interrupt():
    found = caught(KeyboardInterrupt(), RunError("disk full"))
    assert (exit_code(found), message(found)) == (1, "disk full")


def test_other_errors_stay_what_they_are():
    found = caught(ValueError("first"), RuntimeError("second"))
    assert exit_code(found) == 1
    assert message(found).startswith("unexpected RuntimeError: second. This is a bug in frcnn")
