"""Secrets in the text of a spec, found by the tokens that the spec's reader sees, not by a search."""

import itertools
import re
from collections.abc import Iterator

from frcnn.spec.textproto.tokens import Tokens

HIDDEN = "***"
# What stands for a key where one was hidden: here, and in `frcnn spec show`.
_MASK = re.compile(r"\*{3,}")
_CLOSERS = {"{": "}", "<": ">", "[": "]"}
_NAME = re.compile(r"[^\W\d]\w*")
# A value without quotes, which no reader takes.
_BARE = re.compile(r"[^\s,;{}<>\[\]#]+")


def masked_spec(text: str) -> str:
    """Returns a spec's text that may be logged: the values of all secret fields are `***`.

    Secret are `enc_key`, wherever it stands, and the `key` of a `wandb_config`. The rest stays as it is, in
    texts with faults too.
    """
    parts, done = [], 0
    for start, end in _Secrets(text).found():
        parts += [text[done:start], f'"{HIDDEN}"']
        done = end
    return "".join([*parts, text[done:]])


def is_mask(value: str) -> bool:
    """Checks whether a value is what stands for a hidden one."""
    return _MASK.fullmatch(value.strip()) is not None


class _Secrets:
    """Walks the tokens of a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        lines = text.split("\n")
        self._starts = [0, *itertools.accumulate(len(line) + 1 for line in lines)]
        self._tokens = Tokens(lines)
        self._blocks: list[str] = []

    def found(self) -> Iterator[tuple[int, int]]:
        """Start and end of every secret value, comments between its parts included."""
        name = ""
        while token := self._token:
            self._tokens.NextToken()
            if token in _CLOSERS:
                self._blocks.append(name)
            elif token in _CLOSERS.values():
                del self._blocks[-1:]
            elif _NAME.fullmatch(token) and self._is_secret(token):
                yield from self._value()
            name = token if token not in (":", "=") else name

    def _is_secret(self, name: str) -> bool:
        inner = self._blocks[-1] if self._blocks else ""
        return name == "enc_key" or (name == "key" and inner.startswith("wandb"))

    def _value(self) -> Iterator[tuple[int, int]]:
        """What follows a secret field's name."""
        if self._token in (":", "="):
            self._tokens.NextToken()
        if self._token == "[":
            self._tokens.NextToken()
            while self._token not in ("", "]", "}", ">"):
                before = self._place
                yield from self._one()
                if self._place == before:
                    self._tokens.NextToken()  # what separates values
        else:
            yield from self._one()

    def _one(self) -> Iterator[tuple[int, int]]:
        """One value: parts in quotes, or a word that stands there instead; nothing if neither does."""
        start = end = self._place
        if self._token[:1] in ("'", '"'):
            while self._token[:1] in ("'", '"'):
                end = self._place + len(self._token)
                self._tokens.NextToken()
        elif bare := _BARE.match(self._text, start):
            end = bare.end()
            while self._token and self._place < end:
                self._tokens.NextToken()
        if end > start:
            yield start, end

    @property
    def _token(self) -> str:
        return str(self._tokens.token)

    @property
    def _place(self) -> int:
        return self._starts[self._tokens.line] + self._tokens.column
