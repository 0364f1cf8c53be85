"""Reports the progress of a task to a listener."""

import contextlib
import contextvars
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

INTERVAL = 0.25  # seconds between two reports of a task


@dataclasses.dataclass(frozen=True)
class Progress:
    """Progress of a task.

    Attributes:
        task: Current activity: "converting", "training", "evaluating", ...
        done: Number of completed steps.
        total: Total number of steps; `None` if unknown.
        text: Text that the progress bar shows after the numbers; often empty.
    """

    task: str
    done: int
    total: int | None
    text: str = ""


Listener: TypeAlias = Callable[[Progress], None]

_listener: contextvars.ContextVar[Listener | None] = contextvars.ContextVar("listener", default=None)


def listener() -> Listener | None:
    """Returns the listener of this thread; `None` if there is none."""
    return _listener.get()


@contextlib.contextmanager
def reported_to(on_progress: Listener | None) -> Iterator[None]:
    """Reports the progress of tasks in this thread to a function while the block runs.

    The function is called in the same thread. An exception that it raises ends the task.

    Args:
        on_progress: Listener; `None` changes nothing.
    """
    if on_progress is None:
        yield
        return
    token = _listener.set(on_progress)
    try:
        yield
    finally:
        _listener.reset(token)


class Pace:
    """Limits reports to four per second; the first and the last one are always due."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Creates a limiter whose first report is due at once.

        Args:
            clock: Function that returns the time, s.
        """
        self._clock = clock
        self._last: float | None = None

    def due(self, *, last: bool) -> bool:
        """Checks whether to report now.

        Args:
            last: Whether all steps are done.
        """
        now = self._clock()
        if self._last is not None and now - self._last < INTERVAL and not last:
            return False
        self._last = now
        return True
