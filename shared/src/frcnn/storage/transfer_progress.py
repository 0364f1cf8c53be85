"""Progress of a transfer in MiB: a bar on a terminal, otherwise occasional log lines."""

import threading
import time
from types import TracebackType
from typing import Self

from frcnn.console.progress import Progress

MIB = 1 << 20


class TransferProgress:
    """Progress display that adds up the bytes of all threads."""

    def __init__(self, description: str, total: int) -> None:
        """Creates a display.

        Args:
            description: Current activity, such as "uploading".
            total: Number of bytes.
        """
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
        """Removes the bar."""
        self._progress.__exit__(kind, error, trace)

    def add(self, count: int, *, skipped: bool = False) -> None:
        """Adds bytes that have arrived.

        Args:
            count: Number of bytes.
            skipped: Whether they were already there.
        """
        with self._lock:
            self._bytes += count
            self._skipped += count if skipped else 0
            done = self._bytes // MIB if self._bytes < self._total else -(-self._total // MIB)
            self._progress.update(done)

    def summary(self) -> str:
        """Returns a text such as `512.0 MiB in 2.1 s (240 MiB/s); 128.0 MiB were already there`."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        moved = self._bytes - self._skipped
        text = f"{moved / MIB:.1f} MiB in {seconds:.1f} s ({moved / MIB / seconds:.0f} MiB/s)"
        return f"{text}; {self._skipped / MIB:.1f} MiB were already there" if self._skipped else text
