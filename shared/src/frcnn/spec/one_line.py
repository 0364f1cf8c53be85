"""Repairs specs that lost their line breaks, for example in Kubeflow's one-line text field.

Most protobuf text does not need line breaks. Two cases do: a value that was joined with the name of the next
field (`random_seed: 42enc_key: ""`), which can be split because field names are known, and a comment, whose
end can no longer be found.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Kind
from google.protobuf.message import Message

from frcnn.spec.textproto.values import Field

_TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?)|(?P<comment>\#.*)|(?P<word>[\w.+\-]+)|(?P<blank>\s+)|(?P<mark>.)""",
    re.DOTALL,
)
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fF]?|inf|nan)", re.IGNORECASE
)
_TRUTH = re.compile(r"true|false|True|False|t|f|0|1")
_SETTING = re.compile(r"[{}]|\w\s*:")
# Longer than any value joined with a field name.
_LONGEST_WORD = 500


def lost_comment(text: str) -> bool:
    """Checks whether a one-line text has fields inside a comment, which extends to the end of the text.

    Args:
        text: Text of a spec.

    Returns:
        `True` if fields are lost in a comment.
    """
    if "\n" in text or "\r" in text:
        return False
    comments = (match["comment"] for match in _TOKEN.finditer(text) if match["comment"])
    return any(_SETTING.search(comment) for comment in comments)


def with_blanks(text: str, message: Message) -> str:
    """Inserts a blank between each value and a field name joined to it.

    Args:
        text: Text of a spec. Text of several lines is returned unchanged.
        message: Empty message of this kind of spec.

    Returns:
        The repaired text.
    """
    return text if "\n" in text else "".join(_split(text, message.DESCRIPTOR))


def _split(text: str, root: Any) -> Iterator[str]:
    """Yields the parts of the text, with joined words split."""
    matches = list(_TOKEN.finditer(text))
    # Descriptors of the open blocks; None for a block with an unknown name.
    blocks: list[Any] = [root]
    field: Field | None = None
    for at, match in enumerate(matches):
        word, mark = match["word"], match["mark"]
        if word:
            known = blocks[-1].fields_by_name if blocks[-1] else {}
            after = _next(matches, at)
            value, name = _two(word, field, known) if after in (":", "{", "<") else ("", word)
            yield f"{value} {name}" if value else word
            if after in (":", "{", "<"):
                field = known.get(name)
            continue
        if mark in ("{", "<"):
            blocks.append(field.message_type if field else None)
            field = None
        elif mark in ("}", ">") and len(blocks) > 1:
            blocks.pop()
            field = None
        yield match[0]


def _next(matches: list[re.Match[str]], at: int) -> str:
    """Returns the punctuation after a word, ignoring blanks; empty if something else follows."""
    for match in matches[at + 1 : at + 3]:
        if not match["blank"]:
            return match["mark"] or ""
    return ""


def _two(word: str, field: Field | None, known: Mapping[str, Field]) -> tuple[str, str]:
    """Splits a word into a value of `field` and the next name; the value is empty if it is a single word."""
    if field is None or word in known or len(word) > _LONGEST_WORD:
        return "", word
    for cut in range(1, len(word)):
        if word[cut:] in known and _is_value(word[:cut], field):
            return word[:cut], word[cut:]
    return "", word


def _is_value(text: str, field: Field) -> bool:
    if field.enum_type is not None:
        return text in field.enum_type.values_by_name or text.isdigit()
    if field.type == Kind.TYPE_BOOL:
        return _TRUTH.fullmatch(text) is not None
    return field.message_type is None and _NUMBER.fullmatch(text) is not None


def as_line(text: str) -> str:
    """Writes a spec as one line, without its comments.

    Args:
        text: Text of a spec.

    Returns:
        Equivalent text of one line.
    """
    lines = (
        "".join(match[0] for match in _TOKEN.finditer(line) if not match["comment"]).strip()
        for line in text.splitlines()
    )
    return " ".join(line for line in lines if line)
