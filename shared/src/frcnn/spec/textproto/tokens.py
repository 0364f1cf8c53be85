"""Tokenizer of protobuf text with token positions, and ways to skip what cannot be read."""

from collections.abc import Collection
from typing import Any

from google.protobuf import text_format

CLOSERS = {"{": "}", "<": ">", "[": "]"}

_Tokenizer: Any = text_format.Tokenizer


class Tokens(_Tokenizer):  # type: ignore[misc]  # missing in protobuf's stubs
    """Protobuf's tokenizer with access to the position of the current token.

    The base class gives positions only in errors that contain the whole line. For a text of one line, every
    position would take time proportional to the length of the text.
    """

    @property
    def line(self) -> int:
        """Line of the current token, from 0."""
        return max(0, int(self._line))

    @property
    def column(self) -> int:
        """Column of the current token, from 0."""
        return int(self._column)

    def skip_value(self, line: int) -> None:
        """Skips the value after the name of an unknown field.

        Args:
            line: Line of the name, from 0.
        """
        has_colon = self.TryConsume(":")
        if self.token in CLOSERS:
            self._skip_brackets()
        elif self.token[:1] in ("'", '"'):
            while self.token[:1] in ("'", '"'):
                self.NextToken()
        elif self.token not in CLOSERS.values() and (has_colon or self.line == line):
            self.NextToken()

    def skip_line(self, known: Collection[str]) -> None:
        """Skips to the end of the line or block, or to the next field of this block.

        Args:
            known: Names of the fields of the block.
        """
        line = self.line
        while not self.AtEnd() and self.line == line:
            if self.token in CLOSERS:
                self._skip_brackets()
            elif self.token in CLOSERS.values() or self.token in known:
                return
            else:
                self.NextToken()

    def skip_to_end_of_list(self) -> None:
        """Skips past the closing bracket of a list, or to that of its block."""
        while not self.AtEnd() and self.token not in ("]", "}", ">"):
            if self.token in CLOSERS:
                self._skip_brackets()
            else:
                self.NextToken()
        self.TryConsume("]")

    def _skip_brackets(self) -> None:
        """Skips from an opening bracket past the matching closing one."""
        depth = 0
        while not self.AtEnd():
            depth += (self.token in CLOSERS) - (self.token in CLOSERS.values())
            self.NextToken()
            if depth == 0:
                return
