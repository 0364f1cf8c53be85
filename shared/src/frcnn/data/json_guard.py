"""Makes an untrusted JSON file safe to read item by item.

A streaming JSON reader keeps the current path and item in memory, so a million brackets, or a string or
list element of gigabytes, exhausts it. The guard rejects such files with an error; it scans only brackets and
quotes, at about the cost of copying the file. It skips a byte order mark. `without_nan` also replaces
`NaN` and `Infinity`, which Python's `json` writes, by `null`.
"""

import codecs
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from frcnn.errors import DataError
from frcnn.regular_file import open_regular

DEEPEST = 64
# Maximum bytes of a string or of an element of a top-level list: an image, or an annotation with outlines.
LARGEST_ELEMENT = 64 << 20
# Depth between the elements of a top-level list, as in {"annotations": [
_TOP = 2

_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_STRING_OR_NAN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?(?:NaN|Infinity)', re.DOTALL)
_KEPT = b'"[]{}'
_OTHERS = bytes(sorted(set(range(256)) - set(_KEPT)))
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1


class GuardedJson:
    """Readable stream of a JSON file; a context manager."""

    def __init__(self, path: Path, *, checked: bool = True, without_nan: bool = False) -> None:
        """Opens the file.

        Args:
            path: Regular file.
            checked: Whether to check depth and element size; once is enough if a file is read repeatedly.
            without_nan: Whether to replace `NaN` and `Infinity` by `null`.

        Raises:
            OSError: The file cannot be opened or is not a regular file.
        """
        self._path, self._checked = path, checked
        self._stream = open_regular(path)
        if self._stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            self._stream.seek(0)
        self._replaced = _NanFilter(self._stream.read) if without_nan else None
        self._depth, self._within, self._in_string, self._escape = 0, 0, False, False

    def __enter__(self) -> "GuardedJson":
        """Returns the stream."""
        return self

    def __exit__(self, *details: object) -> None:
        """Closes the file."""
        self._stream.close()

    def read(self, size: int = 1 << 16) -> bytes:
        """Reads about `size` bytes.

        Args:
            size: Number of bytes.

        Returns:
            Next part of the file; empty at its end.

        Raises:
            DataError: The file is nested too deeply, or an element is too large.
        """
        chunk = self._replaced.read(size) if self._replaced else self._stream.read(size)
        if self._checked and chunk:
            self._look_at(chunk)
        return chunk

    def _look_at(self, chunk: bytes) -> None:
        text = chunk
        if self._escape or b"\\" in text:
            if self._escape:
                text = text[1:]
            text = _ESCAPED.sub(b"", text)
            self._escape = text.endswith(b"\\")
        parts = text.translate(None, _OTHERS).split(b'"')
        outside = b"".join(parts[1 if self._in_string else 0 :: 2])
        self._in_string ^= len(parts) % 2 == 0
        depths = self._depth + np.cumsum(_STEPS[np.frombuffer(outside, np.uint8)], dtype=np.int64)
        deepest = int(depths.max(initial=self._depth))
        shallowest = int(depths.min(initial=self._depth))
        self._depth = int(depths[-1]) if len(depths) else self._depth
        if deepest > DEEPEST:
            raise DataError(
                f"{self._path}: nested more than {DEEPEST} levels deep; expected COCO annotations"
            )
        # Between two elements of a list the depth drops to that of the list. Within one string or number
        # there is neither a quote nor a bracket.
        ended = shallowest <= _TOP and (len(parts) > 1 or len(outside) > 0)
        self._within = 0 if ended else self._within + len(chunk)
        if self._within > LARGEST_ELEMENT:
            raise DataError(
                f"{self._path}: one element takes more than {LARGEST_ELEMENT >> 20} MiB; expected COCO "
                f"annotations"
            )


class _NanFilter:
    """Stream that replaces `NaN` and `Infinity` outside strings by `null`."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read, self._left, self._ended = read, b"", False

    def read(self, size: int) -> bytes:
        if not size:  # ijson reads 0 bytes to find out whether the stream is binary
            return b""
        while True:
            new = b"" if self._ended else self._read(size)
            self._ended = not new
            text, self._left = self._left + new, b""
            if new:
                text, self._left = _split(text)
            if text or self._ended:
                return _STRING_OR_NAN.sub(lambda found: found[0] if found[0][:1] == b'"' else b"null", text)


def _split(text: bytes) -> tuple[bytes, bytes]:
    """Splits text into a part that can be filtered and an open string or unfinished word."""
    end = len(text)
    opened = _open_string_at(text)
    if opened is not None:
        end = opened
    while end and text[end - 1 : end].isalpha():
        end -= 1
    if end and text[end - 1 : end] == b"-":
        end -= 1
    return text[:end], text[end:]


def _open_string_at(text: bytes) -> int | None:
    """Returns the offset of the string that is open at the end, or `None`."""
    last = 0
    for found in re.finditer(rb'"(?:[^"\\]|\\.)*"', text, re.DOTALL):
        last = found.end()
    opened = text.find(b'"', last)
    return opened if opened >= 0 else None
