"""Finds secrets in the text of a spec with the tokenizer of the reader."""

import itertools
import re
from collections.abc import Iterator

from frcnn.spec.textproto.tokens import Tokens

HIDDEN = "***"
# Placeholder of a hidden key, here and in `frcnn spec show`.
_MASK = re.compile(r"\*{3,}")
_CLOSERS = {"{": "}", "<": ">", "[": "]"}
_NAME = re.compile(r"[^\W\d]\w*")
# A value without quotes. It is an error in a spec, but may still be a secret.
_BARE = re.compile(r"[^\s,;{}<>\[\]#]+")


def masked_spec(text: str) -> str:
    """Replaces the values of all secret fields by `***`, so that the text may be logged.

    Secret fields are `enc_key` at any level and the `key` of a `wandb_config`. The rest of the text does not
    change. The text may contain errors.

    Args:
        text: Text of a spec.

    Returns:
        Text without secrets.
    """
    parts, done = [], 0
    for start, end in _Secrets(text).found():
        parts += [text[done:start], f'"{HIDDEN}"']
        done = end
    return "".join([*parts, text[done:]])


def is_secret(path: str) -> bool:
    """Checks whether a field holds a secret.

    Args:
        path: Path of the field, with the name of its block: `enc_key`, `...wandb_config.key`.
    """
    *_, block, name = ("", *path.split("."))
    return name == "enc_key" or (name == "key" and block.startswith("wandb"))


def is_mask(value: str) -> bool:
    """Checks whether a value is the placeholder of a hidden key.

    Args:
        value: Value of a field.

    Returns:
        `True` if it is.
    """
    return _MASK.fullmatch(value.strip()) is not None


class _Secrets:
    """Finder of secret values in the tokens of a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        lines = text.split("\n")
        self._starts = [0, *itertools.accumulate(len(line) + 1 for line in lines)]
        self._tokens = Tokens(lines)
        self._blocks: list[str] = []

    def found(self) -> Iterator[tuple[int, int]]:
        """Yields start and end of every secret value, including comments between its parts."""
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
        return is_secret(f"{inner}.{name}")

    def _value(self) -> Iterator[tuple[int, int]]:
        """Yields the values after the name of a secret field."""
        if self._token in (":", "="):
            self._tokens.NextToken()
        if self._token == "[":
            self._tokens.NextToken()
            while self._token not in ("", "]", "}", ">"):
                before = self._place
                yield from self._one()
                if self._place == before:
                    self._tokens.NextToken()  # a separator
        else:
            yield from self._one()

    def _one(self) -> Iterator[tuple[int, int]]:
        """Yields one value: its quoted parts or one unquoted word; nothing if there is neither."""
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
