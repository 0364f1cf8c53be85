"""Reads protobuf text into a message, records the position of each field and reports all errors.

`text_format.Merge` stops at the first error and does not record positions. This reader accepts the same
texts, produces the same message (a property test compares both), and continues after an error.
"""

import re
from collections.abc import Callable, Collection
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor as Kind
from google.protobuf.message import Message

from frcnn.errors import Problem
from frcnn.limits import SPEC_PROBLEMS
from frcnn.spec.textproto import suggestions
from frcnn.spec.textproto.positions import Positions, TextPosition
from frcnn.spec.textproto.secrets import is_secret
from frcnn.spec.textproto.tokens import CLOSERS, Tokens
from frcnn.spec.textproto.values import BadValueError, Field, expectation, parse_scalar

_BARE_WORD = re.compile(r"[^\s,;}>#\"']+")
_LONGEST = 400
_TEXT_END = "the end of the text"

Merge = Callable[[Message, Field, str, TextPosition], None]


class _TooManyProblemsError(Exception):
    """The maximum number of errors was reached; the rest of the text is not read."""


class Reader:
    """Reader of one text into one message.

    Attributes:
        problems: Errors in the text.
        positions: Positions of the fields that were read.
        doubtful: Paths whose value is unknown because of an error.
        stopped: Whether reading stopped early because there were too many errors.
    """

    def __init__(self, text: str) -> None:
        """Creates a reader.

        Args:
            text: Text of the whole file.
        """
        self.problems: list[Problem] = []
        self.positions = Positions()
        self.doubtful: set[str] = set()
        self.stopped = False
        self._lines = text.split("\n")
        self._tokens: Any = Tokens(self._lines)

    def read(self, message: Message) -> None:
        """Merges the text into a message, up to the maximum number of errors.

        Args:
            message: Message to fill.
        """
        try:
            self._read(message)
        except _TooManyProblemsError:
            self.stopped = True

    def _read(self, message: Message) -> None:
        while not self._tokens.AtEnd():
            if self._token in ("}", ">"):
                self._report("", f"found {self._token} without a matching opening bracket")
                self._tokens.NextToken()
            else:
                self._field(message, "")

    # ---- fields

    def _field(self, message: Message, path: str) -> None:
        """Reads `name: value` or `name { ... }` and an optional separator."""
        place, name = self._place, self._token
        if not re.match(r"[^\W\d]", name):
            self._report(path, f"found {name}; expected the name of a field")
            if not self._tokens.TryConsume("]"):
                self._tokens.skip_line(message.DESCRIPTOR.fields_by_name)
            return
        self._tokens.NextToken()
        field = message.DESCRIPTOR.fields_by_name.get(name) or self._guess(message, name, path, place)
        if field is None:
            self._tokens.skip_value(place.line - 1)
        else:
            self._content(message, field, f"{path}.{field.name}" if path else field.name, place)
        if not self._tokens.TryConsume(","):
            self._tokens.TryConsume(";")

    def _guess(self, message: Message, name: str, path: str, place: TextPosition) -> Field | None:
        """Reports an unknown name; returns the field probably meant if it is a block, to check it."""
        near, elsewhere, text = suggestions.unknown_field(name, message.DESCRIPTOR)
        self.doubtful.update(elsewhere)
        self._report(f"{path}.{name}" if path else name, text, place)
        if near is None:
            return None
        field: Field = message.DESCRIPTOR.fields_by_name[near]
        if field.message_type is not None and self._token in ("{", "<", ":"):
            return field
        self.doubtful.add(f"{path}.{near}" if path else near)
        return None

    def _content(self, message: Message, field: Field, path: str, place: TextPosition) -> None:
        """Reads the value after the name of a known field."""
        self._forget_siblings(field, path)
        if not self._has_colon(field, path) and self._place.line != place.line:
            return
        merge = self._scalar if field.message_type is None else self._message
        if field.is_repeated and self._token == "[":
            self._list(message, field, path, merge)
        elif not self._value_is_missing(message.DESCRIPTOR.fields_by_name, place):
            merge(message, field, path, place)
        else:
            self._fault(path, f"no value; expected {expectation(field)}", place)

    def _has_colon(self, field: Field, path: str) -> bool:
        """Reads the colon after a name; reports it and returns `False` if it is missing. Blocks need none."""
        if self._tokens.TryConsume(":"):
            return True
        is_block = field.message_type is not None or self._token in CLOSERS
        if is_block and self._token != "=":
            return True
        self._fault(path, f"found {self._token or _TEXT_END}; expected : after {field.name}")
        return bool(self._tokens.TryConsume("="))

    def _value_is_missing(self, known: Collection[str], place: TextPosition) -> bool:
        if self._tokens.AtEnd() or self._token in CLOSERS.values():
            return True
        return self._place.line != place.line and self._token in known

    def _forget_siblings(self, field: Field, path: str) -> None:
        """Removes positions of the other members of a oneof, because only the last one is used."""
        if field.containing_oneof is not None:
            for sibling in field.containing_oneof.fields:
                if sibling.name != field.name:
                    self.positions.forget(path.removesuffix(field.name) + sibling.name)

    # ---- values

    def _list(self, message: Message, field: Field, path: str, merge: Merge) -> None:
        """Reads `[value, value]`."""
        self._tokens.NextToken()
        if self._tokens.TryConsume("]"):
            return
        while True:
            if self._tokens.AtEnd():
                self._fault(path, "the list is not closed; expected ]")
                return
            merge(message, field, path, self._place)
            if self._tokens.TryConsume("]"):
                return
            if not self._tokens.TryConsume(","):
                self._fault(path, f"found {self._token or _TEXT_END}; expected , or ] in the list")
                self._tokens.skip_to_end_of_list()
                return

    def _scalar(self, message: Message, field: Field, path: str, place: TextPosition) -> None:
        value_place = self._place
        try:
            value = self._text() if field.type == Kind.TYPE_STRING else self._plain(field)
        except BadValueError as fault:
            self._fault(path, str(fault), value_place)
            self._tokens.skip_line(message.DESCRIPTOR.fields_by_name)
            return
        if field.is_repeated:
            values = getattr(message, field.name)
            self.positions.record(f"{path}[{len(values)}]", place)
            values.append(value)
        else:
            setattr(message, field.name, value)
        self.positions.record(path, place)

    def _plain(self, field: Field) -> bool | float | int:
        if self._token in CLOSERS:
            found = "a list" if self._token == "[" else "a block"
            raise BadValueError(f"found {found}; expected {expectation(field)}")
        value = parse_scalar(field, self._token)
        self._tokens.NextToken()
        return value

    def _text(self) -> str:
        token = self._token
        if token[:1] not in ("'", '"'):
            bare = _BARE_WORD.match(self._lines[self._place.line - 1], self._place.column - 1)
            word = bare.group() if bare else token
            hint = f'; write "{word}"' if re.match(r"\w", word) else ""
            raise BadValueError(f"found {word}; expected text in quotes{hint}")
        try:
            return str(self._tokens.ConsumeString())
        except text_format.ParseError:
            bad = self._token if self._token[:1] in ("'", '"') else token
            if len(bad) < 2 or bad[-1] != bad[0]:
                raise BadValueError(f"found {bad}; expected {bad[0]} at the end") from None
            raise BadValueError(
                f"found {bad}; expected escapes that form valid UTF-8, such as \\n or \\x41"
            ) from None

    def _message(self, message: Message, field: Field, path: str, place: TextPosition) -> None:
        opened, end = self._place, CLOSERS.get(self._token, "}")
        if self._token in ("{", "<"):
            self._tokens.NextToken()
        else:
            self._fault(path, f"found {self._token}; expected {expectation(field)}")
            if opened.line == place.line or self._token not in field.message_type.fields_by_name:
                self._tokens.skip_line(message.DESCRIPTOR.fields_by_name)
                return
        if field.message_type.GetOptions().map_entry:
            self._map_entry(message, field, path, place, opened, end)
            return
        inner: Message
        if field.is_repeated:
            inner = getattr(message, field.name).add()
            self.positions.record(path, place)
            path = f"{path}[{len(getattr(message, field.name)) - 1}]"
        else:
            inner = getattr(message, field.name)
            inner.SetInParent()
        self.positions.record(path, place)
        self._block(inner, path, opened, end)

    def _map_entry(
        self, message: Message, field: Field, path: str, place: TextPosition, opened: TextPosition, end: str
    ) -> None:
        entry = getattr(message, field.name).GetEntryClass()()
        faults = len(self.problems)
        self._block(entry, path, opened, end)
        key_place, value_place = (self.positions.take(f"{path}.{part}") for part in ("key", "value"))
        self.positions.record(path, place)
        if len(self.problems) > faults:
            self.doubtful.add(path)
            return
        getattr(message, field.name)[entry.key] = entry.value
        self.positions.record(f'{path}["{entry.key}"]', value_place or place)
        self.positions.record(f'{path}["{entry.key}"].key', key_place or place)

    def _block(self, message: Message, path: str, opened: TextPosition, end: str) -> None:
        """Reads fields up to the closing bracket `end`."""
        while not self._tokens.TryConsume(end):
            if self._tokens.AtEnd():
                self._report(path, f"this block is not closed; expected {end}", opened)
                return
            if self._token in ("}", ">"):
                self._report(path, f"found {self._token}; expected {end}")
                self._tokens.NextToken()
                return
            self._field(message, path)

    # ---- reports

    @property
    def _token(self) -> str:
        return str(self._tokens.token)

    @property
    def _place(self) -> TextPosition:
        """Position of the current token."""
        return TextPosition(self._tokens.line + 1, self._tokens.column + 1)

    def _fault(self, path: str, text: str, place: TextPosition | None = None) -> None:
        """Reports an error after which the value of `path` is unknown."""
        self.doubtful.add(path)
        if is_secret(path) and text.startswith("found "):
            # Messages are logged, and a value in a wrong form may still be the key.
            text = 'found a value in another form, which is not shown here; expected : "text in quotes"'
        self._report(path, text, place)

    def _report(self, path: str, text: str, place: TextPosition | None = None) -> None:
        place = place or self._place
        self.problems.append(Problem(_shortened(path), _shortened(text), place.line, place.column))
        if len(self.problems) >= SPEC_PROBLEMS:
            last = self._place
            text = "too many errors; fix these first, there may be more"
            self.problems.append(Problem("", text, last.line, last.column))
            raise _TooManyProblemsError


def _shortened(text: str) -> str:
    """Cuts the middle out of a long text; the value found may be as long as the file."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}...{text[-_LONGEST // 4 :]}"


def read(text: str, message: Message) -> Reader:
    """Reads a text into a message.

    Args:
        text: Protobuf text.
        message: Message to fill.

    Returns:
        Reader with the positions and errors.
    """
    reader = Reader(text)
    reader.read(message)
    return reader
