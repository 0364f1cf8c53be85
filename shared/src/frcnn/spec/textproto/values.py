"""Parses scalar values of protobuf text and explains invalid ones.

The grammar is that of `google.protobuf.text_format`, whose functions are used.
"""

from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor as Kind

from frcnn.spec.schema.constraints import did_you_mean

# A field descriptor: its class depends on how protobuf was built.
Field = Any

_QUOTES = "'\""
_MAX_UINT32 = 2**32 - 1
# A message names the fields of a block that has at most this many.
_FEW_FIELDS = 5


class BadValueError(ValueError):
    """Value that is not valid for its field. The message contains the value found and the values expected."""


def parse_scalar(field: Field, token: str) -> bool | float | int:
    """Parses a value of a number, bool or enum field.

    Args:
        field: Field descriptor.
        token: Token of the text.

    Returns:
        Parsed value.

    Raises:
        BadValueError: The token is not a value of this field.
    """
    try:
        if field.type == Kind.TYPE_BOOL:
            return bool(text_format.ParseBool(token))
        if field.type == Kind.TYPE_FLOAT:
            return float(text_format.ParseFloat(token))
        if field.type == Kind.TYPE_ENUM:
            return _parse_enum(field, token)
        return int(text_format.ParseInteger(token))
    except ValueError:
        raise BadValueError(
            f"found {token or 'nothing'}; expected {expectation(field)}{_hint(field, token)}"
        ) from None


def expectation(field: Field) -> str:
    """Describes the values of a field.

    Args:
        field: Field descriptor.

    Returns:
        Text for messages, for example `true or false`.
    """
    if field.message_type is not None:
        known = field.message_type.fields_by_name
        return (
            f"a block {{ ... }} of {' or '.join(known)}" if len(known) <= _FEW_FIELDS else "a block { ... }"
        )
    if field.type == Kind.TYPE_BOOL:
        return "true or false"
    if field.type == Kind.TYPE_FLOAT:
        return "a number"
    if field.type == Kind.TYPE_ENUM:
        return f"one of {', '.join(value.name for value in field.enum_type.values)}"
    if field.type == Kind.TYPE_STRING:
        return "text in quotes"
    return "a whole number, 0 or more"


def _parse_enum(field: Field, token: str) -> int:
    number = int(text_format.ParseEnum(field, token))
    # proto3 accepts any number, but only named values are valid here.
    if number not in field.enum_type.values_by_number:
        raise ValueError(number)
    return number


def _hint(field: Field, token: str) -> str:
    if not token:
        return ""
    if token[0] in _QUOTES:
        bare = token.strip(_QUOTES)
        return f"; write {bare} without the quotes" if _is_valid(field, bare) else ""
    if field.type == Kind.TYPE_BOOL:
        known = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}
        return f"; did you mean '{known[token.lower()]}'?" if token.lower() in known else ""
    if field.type == Kind.TYPE_ENUM:
        return did_you_mean(token, (value.name for value in field.enum_type.values))
    if field.type == Kind.TYPE_UINT32:
        return _integer_hint(field, token)
    return ""


def _integer_hint(field: Field, token: str) -> str:
    if token.isdecimal() and token[0] != "0":
        return f", and at most {_MAX_UINT32}"
    whole = token.partition(".")[0]
    return f"; did you mean '{whole}'?" if whole != token and _is_valid(field, whole) else ""


def _is_valid(field: Field, token: str) -> bool:
    try:
        parse_scalar(field, token)
    except BadValueError:
        return False
    return True
