"""Checks the types of dataclass fields that were read from JSON."""

import dataclasses
import math
import types
import typing
from typing import Any


def check_types(record: Any) -> None:
    """Checks that each field of a dataclass has the type of its annotation.

    Whole numbers are accepted for `float`. Numbers must be finite. Nested dataclasses are checked too.

    Args:
        record: Dataclass of numbers, texts, tuples, `None` and such dataclasses.

    Raises:
        TypeError: A field has another type.
    """
    for name, expected in typing.get_type_hints(type(record)).items():
        if not _fits(getattr(record, name), expected):
            raise TypeError(f"{name} is not of type {expected}")


def _fits(value: Any, expected: Any) -> bool:
    if dataclasses.is_dataclass(expected):
        if not isinstance(value, typing.cast("type", expected)):
            return False
        check_types(value)
        return True
    kinds = typing.get_args(expected)
    if isinstance(expected, types.UnionType):
        return any(_fits(value, each) for each in kinds)
    if typing.get_origin(expected) is tuple:
        if not isinstance(value, tuple):
            return False
        repeated = kinds[-1] is Ellipsis
        return (repeated or len(value) == len(kinds)) and all(
            _fits(each, kinds[0] if repeated else kinds[index]) for index, each in enumerate(value)
        )
    if isinstance(value, bool) or expected is bool:
        return isinstance(value, bool) and expected is bool
    if expected is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, expected)
