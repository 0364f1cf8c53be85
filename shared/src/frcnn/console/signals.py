"""Handles SIGTERM, which stops containers, like Ctrl-C: open blocks clean up."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from frcnn.console.lost_interrupts import RepeatedInterrupts

_PR_SET_PDEATHSIG = 1
# Signals of a stopped container, a closed terminal, a batch system's limit, and others that end a process by
# default. SIGKILL cannot be handled.
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. Derived from KeyboardInterrupt, so that no `except Exception` swallows it."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        """`number` is the number of the signal."""
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """Raises `Terminated` on SIGTERM within the block, so that open blocks clean up.

    An exception that Python discards, because the signal arrived in a finalizer, is raised again.

    Outside the main thread, where Python does not allow signal handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    mine = {number: _former(number) for number in ENDING if _is_ours(number)}
    for number in mine:
        signal.signal(number, _raise_terminated)
    try:
        with RepeatedInterrupts():
            yield
    finally:
        for number, before in mine.items():
            signal.signal(number, before)


def _is_ours(number: signal.Signals) -> bool:
    return number == signal.SIGTERM or signal.getsignal(number) == signal.SIG_DFL


def _former(number: signal.Signals) -> "signal._HANDLER":
    before = signal.getsignal(number)
    return before if before is not None else signal.SIG_DFL


def end_with_parent(parent: int = 0, number: int = signal.SIGTERM) -> None:
    """Asks the system to signal this process when its parent ends, even if the parent is killed.

    Args:
        parent: Id of the process that started this one; if it has already ended, the signal is sent at once.
            0 if the id is unknown.
        number: Signal to send.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
        if parent and os.getppid() != parent:
            signal.raise_signal(number)


def _raise_terminated(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)
