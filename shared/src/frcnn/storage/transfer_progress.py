"""How far a transfer is, in MiB: a bar on a terminal, now and then a line in a log."""

import threading
import time
from types import TracebackType
from typing import Self

from frcnn.console.progress import Progress

MIB = 1 << 20


class Meter:
    """Adds up the bytes that threads report."""

    def __init__(self, description: str, total: int) -> None:
        """`total` in bytes."""
        self._progress = Progress(f"{description} (MiB)", -(-total // MIB))
        self._total = total
        self._bytes = self._skipped = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Shows the bar."""
        self._began = time.monotonic()
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Takes the bar away."""
        self._progress.__exit__(kind, error, trace)

    def add(self, count: int, *, skipped: bool = False) -> None:
        """`count` bytes more are where they belong; `skipped` if they had been there already."""
        with self._lock:
            self._bytes += count
            self._skipped += count if skipped else 0
            done = self._bytes // MIB if self._bytes < self._total else -(-self._total // MIB)
            self._progress.update(done)

    def summary(self) -> str:
        """`512.0 MiB in 2.1 s (240 MiB/s), 128.0 MiB of it were there already`."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        moved = self._bytes - self._skipped
        text = f"{moved / MIB:.1f} MiB in {seconds:.1f} s ({moved / MIB / seconds:.0f} MiB/s)"
        return f"{text}; {self._skipped / MIB:.1f} MiB were there already" if self._skipped else text
