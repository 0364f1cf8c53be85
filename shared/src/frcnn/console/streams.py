"""Handles standard streams that are closed or not writable: the program continues."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_STANDARD = (0, 1, 2)


class _Forgiving:
    """Stream that records errors instead of raising them, except for a broken pipe of standard output."""

    def __init__(self, stream: TextIO, *, needs_reader: bool) -> None:
        self._stream = stream
        self._needs_reader = needs_reader
        self.fault: OSError | None = None

    def write(self, text: str) -> int:
        with self._forgiving():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._forgiving():
            self._stream.flush()

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # Buffered data would fail again, at the latest when Python exits.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if isinstance(error, BrokenPipeError) and self._needs_reader:
                raise
            self.fault = self.fault or error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def settle_streams() -> None:
    """Opens closed standard streams on the null device; tolerates write errors of the others.

    Must be called first: otherwise the next open files would get the descriptors of closed streams, and
    output to standard error would be written into these files.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            _open_devnull(number)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 -- open until the process ends
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, _Forgiving) and _is_real(stream):
            setattr(sys, name, _Forgiving(stream, needs_reader=name == "stdout"))


def finish_streams(code: int) -> int:
    """Flushes the standard streams.

    Args:
        code: Exit code so far.

    Returns:
        `code`, or 1 instead of 0 if standard output could not be written.
    """
    faults = {}
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, _Forgiving):
            try:
                stream.flush()
            except BrokenPipeError:  # the reader, such as `head`, wants no more
                code = code or 1
            faults[name] = stream.fault
    if fault := faults.get("stdout"):
        sys.stderr.write(f"error: cannot write to standard output ({fault.strerror})\n")
        sys.stderr.flush()
        return code or 1
    return code


def _open_devnull(number: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)


def _is_real(stream: Any) -> bool:
    """Checks whether a stream is one of the system's, rather than one set by a test or a notebook."""
    try:
        return stream.fileno() in _STANDARD
    except (OSError, ValueError, AttributeError):
        return False
