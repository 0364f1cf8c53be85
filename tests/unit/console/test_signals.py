import os
import signal
import threading

import pytest

from frcnn.console import exit_codes
from frcnn.console.signals import ENDING, Terminated, terminate_as_interrupt
from frcnn.files import atomic_path


@pytest.mark.parametrize("number", ENDING, ids=lambda each: each.name)
def test_what_ends_a_process_raises_within_the_block_and_cleans_up(tmp_path, number):
    final = tmp_path / "model"
    with pytest.raises(Terminated) as caught, terminate_as_interrupt(), atomic_path(final) as temporary:
        temporary.write_text("half")
        os.kill(os.getpid(), number)
        signal.pause()
    assert list(tmp_path.iterdir()) == []
    assert exit_codes.exit_code(caught.value) == 128 + number


def test_a_signal_that_is_ignored_stays_so(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminate_as_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_handler_before_is_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with terminate_as_interrupt():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_than_the_main_one_are_left_alone():
    seen = []

    def work():
        with terminate_as_interrupt():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def test_a_hangup_ends_a_run_as_tidily(tmp_path):
    final = tmp_path / "model"
    with (
        pytest.raises(Terminated, match="SIGHUP") as caught,
        terminate_as_interrupt(),
        atomic_path(final) as temporary,
    ):
        temporary.write_text("half")
        os.kill(os.getpid(), signal.SIGHUP)
        signal.pause()
    assert caught.value.number == signal.SIGHUP
    assert list(tmp_path.iterdir()) == []


def test_a_hangup_that_is_ignored_stays_so():
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminate_as_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


class Finalized:
    """Object whose finalizer is interrupted."""

    def __init__(self, number):
        self._number = number

    def __del__(self):
        os.kill(os.getpid(), self._number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_a_finalizer_where_python_discards_it_ends_the_run_all_the_same(number, capfd):
    with pytest.raises(Terminated, match=number.name), terminate_as_interrupt():
        Finalized(number)
        while True:
            signal.pause()
    assert "ignored" not in capfd.readouterr().err


def test_other_discarded_exceptions_are_reported_as_before(monkeypatch):
    class Faulty:
        def __del__(self):
            raise ValueError("of a finalizer")

    seen = []
    monkeypatch.setattr("sys.unraisablehook", lambda lost: seen.append(str(lost.exc_value)))
    with terminate_as_interrupt():
        Faulty()
    assert seen == ["of a finalizer"]
