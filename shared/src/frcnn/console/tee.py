"""--log_file holds the tables and paths too, not only the log lines."""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class _Tee:
    """Standard output that also appends what it is given, without colours, to a file."""

    def __init__(self, stream: TextIO, copy: TextIO) -> None:
        self._stream = stream
        self._copy = copy

    def write(self, text: str) -> int:
        self._copy.write(_ANSI.sub("", text))
        self._copy.flush()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextlib.contextmanager
def tee_stdout(path: Path) -> Iterator[None]:
    """Within the block, what goes to standard output is appended to `path` as well."""
    with path.open("a", encoding="utf-8", errors="backslashreplace") as copy:
        before = sys.stdout
        sys.stdout = _Tee(before, copy)  # type: ignore[assignment]  # all that print and rich ask for
        try:
            yield
        finally:
            sys.stdout = before
