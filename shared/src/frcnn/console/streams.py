"""Standard streams that are closed or full: what is said is lost, and nothing else may break for that."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_STANDARD = (0, 1, 2)


class _Forgiving:
    """A stream whose faults are remembered instead of raised, but for a reader that has gone away."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
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
        except BrokenPipeError:
            raise
        except OSError as error:
            self.fault = self.fault or error
            # What is held back would fail again, at the latest when Python ends.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def settle_streams() -> None:
    """Opens standard streams that are closed, on nothing, and bears those that cannot be written.

    To be called first: the numbers of closed ones would be given to the next files that are opened, and
    whatever writes to standard error would write into these.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            _open_nothing(number)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 -- for as long as the process runs
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, _Forgiving) and _is_real(stream):
            setattr(sys, name, _Forgiving(stream))


def finish_streams(code: int) -> int:
    """Returns the exit code: `code`, or 1 if all went well but standard output could not be written."""
    faults = {}
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, _Forgiving):
            with contextlib.suppress(BrokenPipeError):
                stream.flush()
            faults[name] = stream.fault
    if fault := faults.get("stdout"):
        sys.stderr.write(f"error: standard output cannot be written ({fault.strerror}); the rest was done\n")
        sys.stderr.flush()
        return code or 1
    return code


def _open_nothing(number: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)


def _is_real(stream: Any) -> bool:
    """Whether it is a stream of the system's, not one that a test or a notebook put there."""
    try:
        return stream.fileno() in _STANDARD
    except (OSError, ValueError, AttributeError):
        return False
