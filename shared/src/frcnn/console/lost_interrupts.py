"""Repeats interrupts that Python discards. Imports nothing else, so that a command can begin with it."""

import sys
from types import TracebackType


class RepeatedInterrupts:
    """Block that repeats a Ctrl-C or SIGTERM that arrives in a finalizer or a callback of the import system.

    Python discards exceptions raised there, so the run would continue as if there had been no signal.
    """

    def __enter__(self) -> None:
        """Takes over the reports of discarded exceptions; others than interrupts are passed on."""
        self._before = sys.unraisablehook
        sys.unraisablehook = self._repeat

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restores the former reports."""
        sys.unraisablehook = self._before

    def _repeat(self, lost: "sys.UnraisableHookArgs") -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            self._before(lost)
            return
        import signal
        import threading

        number = getattr(lost.exc_value, "number", signal.SIGINT)
        # Later and from another thread: the discarded exception would otherwise be raised again right here.
        again = threading.Timer(0.02, signal.pthread_kill, (threading.main_thread().ident, number))
        again.daemon = True
        again.start()
