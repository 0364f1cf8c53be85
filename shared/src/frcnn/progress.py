"""How far a task is, for whoever asked to be told."""

import contextlib
import contextvars
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

INTERVAL = 0.25  # seconds between two reports of a task


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a task is.

    Attributes:
        task: What is going on: "converting", "training", "evaluating", ...
        done: Steps that are done.
        total: Steps in all; None if that is not known.
        text: What the progress bar would show beside it; often empty.
    """

    task: str
    done: int
    total: int | None
    text: str = ""


Listener: TypeAlias = Callable[[Progress], None]

_listener: contextvars.ContextVar[Listener | None] = contextvars.ContextVar("listener", default=None)


def listener() -> Listener | None:
    """Returns whoever is to be told in this thread, or None."""
    return _listener.get()


@contextlib.contextmanager
def reported_to(on_progress: Listener | None) -> Iterator[None]:
    """Within the block, tasks of this thread report to a function, which is called in the same thread.

    An exception that the function raises ends the task.

    Args:
        on_progress: The function; None changes nothing.
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
    """Says when a report is due: at most four a second, but the first and the last one always."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """The first report is due at once."""
        self._clock = clock
        self._last: float | None = None

    def due(self, *, last: bool) -> bool:
        """Returns whether to report now; `last` if all steps are done."""
        now = self._clock()
        if self._last is not None and now - self._last < INTERVAL and not last:
            return False
        self._last = now
        return True
