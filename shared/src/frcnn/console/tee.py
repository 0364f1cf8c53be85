"""Copies standard output to the file of --log_file, so that it contains tables and paths too."""

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from frcnn.console.foreign_text import printable_lines


class _Tee:
    """Standard output that also appends its text, without colors, to a file."""

    def __init__(self, stream: TextIO, copy: TextIO) -> None:
        self._stream = stream
        self._copy = copy

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):  # the log's handler reports that the file cannot be written
            self._copy.write(text)
            self._copy.flush()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


class _Escaped:
    """Standard output that escapes control characters, for example in names of classes and files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(printable_lines(text))
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextlib.contextmanager
def escaped_stdout() -> Iterator[None]:
    """Within the block, standard output escapes control characters except line breaks and tabs."""
    before = sys.stdout
    if isinstance(before, io.TextIOWrapper):
        # For characters that the encoding lacks.
        before.reconfigure(errors="backslashreplace")
    sys.stdout = _Escaped(before)  # implements what print and rich use
    try:
        yield
    finally:
        sys.stdout = before


@contextlib.contextmanager
def tee_stdout(path: Path) -> Iterator[None]:
    """Appends standard output to `path` within the block."""
    copy = path.open("a", encoding="utf-8", errors="backslashreplace")
    before = sys.stdout
    sys.stdout = _Tee(before, copy)  # implements what print and rich use
    try:
        yield
    finally:
        sys.stdout = before
        with contextlib.suppress(OSError):
            copy.close()
