"""Live table of a run's steps at the bottom of the terminal, with the output of steps above it."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.table import Table

# Rich styles of the states.
_STYLES = {"running": "bold cyan", "done": "green", "reused": "dim green", "failed": "bold red"}
WAITING = "waiting"


class StepTable:
    """Context manager that shows steps in a live table; does nothing unless stderr is a terminal."""

    def __init__(self, names: Sequence[str], *, enabled: bool | None = None) -> None:
        """Creates the table without showing it.

        Args:
            names: Names of the steps in the order they run.
            enabled: Whether to show the table. `None` shows it only on a terminal.
        """
        from rich.console import Console
        from rich.live import Live

        self.enabled = sys.stderr.isatty() if enabled is None else enabled
        self._states = dict.fromkeys(names, WAITING)
        self._seconds: dict[str, float] = {}
        self._began = 0.0
        self._console = Console(stderr=True, force_terminal=self.enabled or None)
        self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=2)

    def __enter__(self) -> Self:
        """Shows the table."""
        if self.enabled:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops updating and leaves the final table on the screen."""
        if self.enabled:
            self._live.stop()

    def begin(self, name: str) -> None:
        """Marks a step as running.

        Args:
            name: Name of the step.
        """
        self._states[name] = "running"
        self._began = time.monotonic()

    def end(self, name: str, state: str, seconds: float) -> None:
        """Marks a step as ended.

        Args:
            name: Name of the step.
            state: Final state.
            seconds: Wall time.
        """
        self._states[name], self._seconds[name] = state, seconds

    def say(self, line: str) -> None:
        """Prints a line of a step's output above the table.

        Args:
            line: Text without line break.
        """
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> "Table":
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for name, width in (("step", 20), ("state", 10), ("seconds", 8)):
            table.add_column(name, min_width=width, justify="right" if name == "seconds" else "left")
        for name, state in self._states.items():
            seconds = self._seconds.get(name)
            if state == "running":
                seconds = time.monotonic() - self._began
            shown = "" if seconds is None else f"{seconds:.1f}"
            table.add_row(name, state, shown, style=_STYLES.get(state, "dim"))
        return table
