"""Tokenizer of protobuf text with token positions."""

from typing import Any

from google.protobuf import text_format

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
