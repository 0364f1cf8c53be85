"""The tokens of protobuf text, with their places."""

from typing import Any

from google.protobuf import text_format

_Tokenizer: Any = text_format.Tokenizer


class Tokens(_Tokenizer):  # type: ignore[misc]  # protobuf's stubs leave it out
    """Protobuf's own tokenizer, which tells places only in errors that hold the whole line.

    On a text of one line that would make every look at a place as long as the text.
    """

    @property
    def line(self) -> int:
        """Of the current token, from 0."""
        return max(0, int(self._line))

    @property
    def column(self) -> int:
        """Of the current token, from 0."""
        return int(self._column)
