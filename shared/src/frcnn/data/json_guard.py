"""A JSON file from outside as a stream that is safe to read item by item.

A JSON reader keeps what it is within: a path of a million brackets, one text of gigabytes, one list element
of gigabytes. The guard looks at brackets and quotes only, at the cost of copying the file, and ends such
files with a sentence. A byte order mark is left out. `without_nan` also replaces `NaN` and `Infinity`, which
Python's `json` writes, by `null`.
"""

import codecs
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from frcnn.errors import DataError
from frcnn.regular_file import open_regular

DEEPEST = 64
# Bytes of one text, or of one element of a top list: an image or an annotation with its outlines.
LARGEST_ELEMENT = 64 << 20
# {"annotations": [{...: elements of a top list are at this depth, lists within them deeper.
_TOP = 2

_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_STRING_OR_NAN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?(?:NaN|Infinity)', re.DOTALL)
_KEPT = b'"[]{}'
_OTHERS = bytes(sorted(set(range(256)) - set(_KEPT)))
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1


class GuardedJson:
    """A readable stream of a JSON file; a context."""

    def __init__(self, path: Path, *, checked: bool = True, without_nan: bool = False) -> None:
        """Opens the file.

        Args:
            path: A regular file.
            checked: Whether to look at its depth; once is enough where it is read several times.
            without_nan: Whether numbers that JSON has not become null.

        Raises:
            OSError: It cannot be opened, or is no regular file.
        """
        self._path, self._checked = path, checked
        self._stream = open_regular(path)
        if self._stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            self._stream.seek(0)
        self._replaced = _NanFilter(self._stream.read) if without_nan else None
        self._depth, self._within, self._in_string, self._escape = 0, 0, False, False

    def __enter__(self) -> "GuardedJson":
        """Nothing."""
        return self

    def __exit__(self, *details: object) -> None:
        """Closes the file."""
        self._stream.close()

    def read(self, size: int = 1 << 16) -> bytes:
        """Reads about `size` bytes.

        Raises:
            DataError: The file is nested too deeply, or one element of it is too large.
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
        # Between two elements of a list the depth comes down to that of the list. Within one text or number
        # there is neither a quote nor a bracket.
        ended = shallowest <= _TOP and (len(parts) > 1 or len(outside) > 0)
        self._within = 0 if ended else self._within + len(chunk)
        if self._within > LARGEST_ELEMENT:
            raise DataError(
                f"{self._path}: one element takes more than {LARGEST_ELEMENT >> 20} MiB; expected COCO "
                f"annotations"
            )


class _NanFilter:
    """A stream with `null` for numbers that JSON has not; texts stay as they are."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read, self._left, self._ended = read, b"", False

    def read(self, size: int) -> bytes:
        if not size:  # how a reader finds out whether it gets bytes
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
    """What can be filtered, and what has to wait for more: a text that is open, or a word that may go on."""
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
    """Where the text that is open at the end begins; None if none is."""
    last = 0
    for found in re.finditer(rb'"(?:[^"\\]|\\.)*"', text, re.DOTALL):
        last = found.end()
    opened = text.find(b'"', last)
    return opened if opened >= 0 else None
