"""Shows progress: a bar with ETA on a terminal, otherwise a log line at most every ten seconds."""

import collections
import contextlib
import contextvars
import functools
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar

from frcnn.progress import Pace, listener
from frcnn.progress import Progress as Report

if TYPE_CHECKING:
    import rich.console
    import rich.progress

log = logging.getLogger(__name__)

LINE_INTERVAL = 10.0  # seconds between log lines
BAR_INTERVAL = 0.25  # seconds between redraws of the bar's text
WINDOW = 30  # number of displayed updates over which the ETA averages the speed

Item = TypeVar("Item")
# A function is called only when text is displayed: fetching a loss waits for the device.
Text: TypeAlias = str | Callable[[], str]

_bars: contextvars.ContextVar[bool] = contextvars.ContextVar("bars", default=False)


@contextlib.contextmanager
def bars_shown() -> Iterator[None]:
    """Within the block, this thread's progress is drawn as bars where standard error is a terminal."""
    token = _bars.set(True)
    try:
        yield
    finally:
        _bars.reset(token)


def track(iterable: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yields the items of an iterable and shows the progress.

    Args:
        iterable: Items. Without a length, pass `total` to get an ETA.
        description: Current activity, such as "converting".
        total: Number of items; the length of the iterable by default.

    Yields:
        The items.
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    with Progress(description, total) as progress:
        for done, item in enumerate(iterable, start=1):
            yield item
            progress.update(done)


class Progress:
    """Progress of a run. Use it as a context manager and call `update` after each step."""

    def __init__(
        self,
        description: str,
        total: int | None,
        *,
        done: int = 0,
        enabled: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Creates a progress display.

        Args:
            description: Current activity.
            total: Number of steps; `None` if unknown.
            done: Number of steps done before, for a resumed run.
            enabled: Whether to show anything; false for ranks other than 0.
            clock: Monotonic clock, in seconds.
        """
        self._description = description
        self._total = total
        self._done = done
        self._enabled = enabled
        self._clock = clock
        self._bar: rich.progress.Progress | None = None
        self._text: Text = ""
        self._changed = False
        self._listener = listener() if enabled else None
        self._pace = Pace(clock)

    def __enter__(self) -> Self:
        """Starts the clock, and the bar if standard error is a terminal."""
        self._started = self._shown = self._clock()
        self._samples = collections.deque([(self._started, self._done)], maxlen=WINDOW)
        if self._enabled and self._listener is None and _bars.get() and _is_terminal():
            self._bar = _bar()
            self._bar.add_task(self._description, total=self._total, completed=self._done, text="", eta="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Shows the last state, also after an error."""
        if self._changed:
            self._show()
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, text: Text = "") -> None:
        """Reports the number of steps done.

        Args:
            done: Number of steps done.
            text: Text next to the bar, or the log line itself.
        """
        if self._listener is not None:
            self._report(self._listener, done, text)
            return
        self._done, self._text, self._changed = done, text, True
        if self._total is not None and done > self._total:
            self._total = None  # the total was an underestimate; show none
            if self._bar is not None:
                self._bar.tasks[0].total = None
        interval = BAR_INTERVAL if self._bar is not None else LINE_INTERVAL
        if len(self._samples) == 1 and self._samples[0][0] == self._started:
            # The first step includes compilation, so measure the speed from its end.
            self._samples = collections.deque([(self._clock(), done)], maxlen=WINDOW)
        if self._clock() - self._shown >= interval:
            self._show()

    def _report(self, listener: Callable[[Report], None], done: int, text: Text) -> None:
        if self._pace.due(last=done == self._total):
            listener(Report(self._description, done, self._total, text() if callable(text) else text))

    def eta(self) -> str:
        """Returns the remaining time as `14:05` or `2:14:05`; empty if it is unknown."""
        (since, at_first), now = self._samples[0], self._clock()
        if self._total is None or self._done <= at_first or now <= since:
            return ""
        return clock_time((self._total - self._done) * (now - since) / (self._done - at_first))

    def _show(self) -> None:
        self._shown, self._changed = self._clock(), False
        if not self._enabled:
            return
        text, eta = self._text() if callable(self._text) else self._text, self.eta()
        self._samples.append((self._shown, self._done))
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done, text=text, eta=eta)
        else:
            log.info("%s", self._line(text, eta))

    def _line(self, text: str, eta: str) -> str:
        total = f"/{self._total}" if self._total is not None else ""
        line = text or f"{self._description} {self._done}{total}"
        if self._done == self._total:
            return f"{line} done in {clock_time(self._shown - self._started)}"
        return f"{line} eta {eta}" if eta else line


def training_line(
    epoch: tuple[int, int],
    step: tuple[int, int],
    losses: Mapping[str, float],
    learning_rate: float,
    images_per_second: float,
) -> str:
    """Formats a line such as `epoch 3/12 step 400/950 loss 0.84 (rpn 0.21 roi 0.63) lr 0.0020 31 img/s`.

    Args:
        epoch: Number of the epoch, from 1, and number of epochs.
        step: Number of the step within the epoch, from 1, and number of steps.
        losses: `loss` is the total; the others are its parts, shown in the given order.
        learning_rate: Learning rate of this step.
        images_per_second: Speed over all ranks.

    Returns:
        The line.
    """
    parts = " ".join(f"{name} {value:.2f}" for name, value in losses.items() if name != "loss")
    return (
        f"epoch {epoch[0]}/{epoch[1]} step {step[0]}/{step[1]} loss {losses['loss']:.2f}"
        f"{f' ({parts})' if parts else ''} lr {_rate(learning_rate)} {_speed(images_per_second)} img/s"
    )


def clock_time(seconds: float) -> str:
    """Formats seconds as `0:09`, `14:05` or `2:14:05`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _rate(value: float) -> str:
    return f"{value:.4f}" if value == 0 or value >= 0.001 else f"{value:.1e}"


def _speed(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _is_terminal() -> bool:
    return sys.stderr.isatty()


@functools.cache
def _console() -> "rich.console.Console":
    """Returns one console for all bars, so that nested bars are laid out correctly."""
    from rich.console import Console

    return Console(stderr=True)


def _bar() -> "rich.progress.Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("eta {task.fields[eta]}"),
        TextColumn("{task.fields[text]}", style="dim", markup=False),
        console=_console(),
    )
