"""Converts spec objects built in Python to the form of specs read from text.

Parsed text has exact types. Python code may use a list or an array for a tuple, a dict for a map, 1 for
1.0, a path for a string, or a value of a wrong type. `normalized` converts these values and reports those it
cannot convert.
"""

import dataclasses
import enum
import math
import numbers
import os
import struct
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from frcnn.errors import Problem
from frcnn.spec import dataset_export_pb2, experiment_pb2
from frcnn.spec.schema.constraints import ZeroIsNotSet, did_you_mean, quoted
from frcnn.spec.schema.from_message import (
    Annotation,
    default_of,
    schema_fields,
    shortest_float,
    split_annotation,
    stand_in,
)
from frcnn.spec.schema.frozen_map import FrozenMap

Config = TypeVar("Config")

_MESSAGES = {
    **experiment_pb2.DESCRIPTOR.message_types_by_name,
    **dataset_export_pb2.DESCRIPTOR.message_types_by_name,
}
_LARGEST_INT = 2**32 - 1
_KINDS = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}


class _WrongTypeError(Exception):
    """Value that cannot be converted. The message contains the value found and the type expected."""


def normalized(config: Config, problems: list[Problem], path: str = "") -> Config:
    """Converts all values of a spec object and its nested objects to the types of their fields.

    Values that mean "not set" are replaced by the default of their field.

    Args:
        config: Instance of a config class of `frcnn.spec`.
        problems: List that receives a problem for each value of a wrong type. The value is replaced by the
            default of its field, or by an empty value if there is none.
        path: Path of `config` in the spec; empty for the whole spec.

    Returns:
        The converted object.
    """
    values: dict[str, Any] = {}
    for field, annotation in schema_fields(type(config)):
        field_path = f"{path}.{field.name}" if path else field.name
        value = getattr(config, field.name)
        try:
            values[field.name] = _field_value(value, field, annotation, problems, field_path)
        except _WrongTypeError as error:
            problems.append(Problem(field_path, str(error)))
            default = default_of(field)
            unknown = default is dataclasses.MISSING
            values[field.name] = stand_in(annotation) if unknown else default
    _settle_alternatives(type(config), values, problems, path)
    return typing.cast(Config, dataclasses.replace(typing.cast(Any, config), **values))


def members_beside(cls: type, name: str) -> list[str]:
    """Returns the other members of the oneof of a field.

    Args:
        cls: Config class.
        name: Name of the field.

    Returns:
        Names of the fields that are mutually exclusive with it.
    """
    descriptor = _MESSAGES[cls.__name__].fields_by_name.get(name)
    oneof = descriptor.containing_oneof if descriptor is not None else None
    return [] if oneof is None else [field.name for field in oneof.fields if field.name != name]


def _field_value(
    value: object, field: "dataclasses.Field[Any]", annotation: Annotation, problems: list[Problem], path: str
) -> object:
    kind, extras = split_annotation(annotation)
    default = default_of(field)
    value = _without_numpy(value)
    if value is None:
        if default is None or type(None) in typing.get_args(annotation):
            return None
        raise _WrongTypeError(f"found None; expected {_expected(kind)}")
    if value in (0, "", False) and any(isinstance(extra, ZeroIsNotSet) for extra in extras):
        return default
    return _converted(value, kind, problems, path)


def _converted(value: object, kind: Annotation, problems: list[Problem], path: str) -> object:
    value = _without_numpy(value)
    origin: Any = typing.get_origin(kind)
    if origin is tuple:
        return tuple(_items(value, typing.get_args(kind)[0], problems, path))
    if origin is Mapping:
        return _mapping(value, typing.get_args(kind)[1], problems, path)
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, typing.cast(type, kind)):
            raise _WrongTypeError(f"found {_shown(value)}; expected {_expected(kind)}")
        return normalized(value, problems, path)
    if issubclass(kind, enum.Enum):
        return _enum_value(value, kind)
    return _scalar(value, kind)


def _items(value: object, annotation: Annotation, problems: list[Problem], path: str) -> Iterator[object]:
    if not isinstance(value, list | tuple):
        raise _WrongTypeError(f"found {_shown(value)}; expected a list")
    kind, _ = split_annotation(annotation)
    for index, item in enumerate(value):
        try:
            yield _converted(item, kind, problems, f"{path}[{index}]")
        except _WrongTypeError as error:
            problems.append(Problem(f"{path}[{index}]", str(error)))


def _mapping(value: object, annotation: Annotation, problems: list[Problem], path: str) -> FrozenMap[object]:
    if not isinstance(value, Mapping):
        raise _WrongTypeError(f"found {_shown(value)}; expected a mapping")
    kind, _ = split_annotation(annotation)
    pairs = {}
    for key, item in value.items():
        try:
            if not isinstance(key, str):
                raise _WrongTypeError(f"found the key {_shown(key)}; expected text")
            pairs[key] = _converted(item, kind, problems, f'{path}["{key}"]')
        except _WrongTypeError as error:
            problems.append(Problem(f'{path}["{key}"]', str(error)))
    return FrozenMap(pairs)


def _enum_value(value: object, kind: type[enum.Enum]) -> enum.Enum:
    if isinstance(value, kind):
        return value
    names = [each.name for each in kind]
    if isinstance(value, str):
        if value in names:
            return kind[value]
        hint = did_you_mean(value, names)
        raise _WrongTypeError(f"found {quoted(value)}; expected one of {', '.join(names)}{hint}")
    raise _WrongTypeError(f"found {_shown(value)}; expected one of {', '.join(names)}")


def _scalar(value: object, kind: type) -> object:
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if kind is int and isinstance(value, numbers.Integral) and not isinstance(value, bool):
        number = int(value)
        if not 0 <= number <= _LARGEST_INT:
            raise _WrongTypeError(f"found {number}; expected a whole number from 0 to {_LARGEST_INT}")
        return number
    if kind is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
        return _as_float32(float(value))
    raise _WrongTypeError(f"found {_shown(value)}; expected {_expected(kind)}")


def _as_float32(value: float) -> float:
    """Rounds to float32 as in the text of a spec, so that an object and its text are equal."""
    if not math.isfinite(value):
        return value  # reported by the rules
    try:
        return shortest_float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        raise _WrongTypeError(f"found {value:g}; expected a number up to 3.4e+38") from None


def _without_numpy(value: object) -> object:
    """Converts NumPy's arrays and scalars to lists and numbers, without importing NumPy."""
    return value.tolist() if hasattr(value, "tolist") else value


def _settle_alternatives(cls: type, values: dict[str, Any], problems: list[Problem], path: str) -> None:
    """Keeps one member of each oneof, preferring one that was set over one present by default."""
    defaults = {field.name: default_of(field) for field in dataclasses.fields(typing.cast(Any, cls))}
    for oneof in _MESSAGES[cls.__name__].oneofs:
        names = [field.name for field in oneof.fields]
        present = [name for name in names if values.get(name) is not None]
        if len(present) < 2:
            continue
        chosen = [name for name in present if values[name] != defaults[name]]
        if len(chosen) > 1:
            problems.append(Problem(path, f"found {' and '.join(chosen)}; expected one of them"))
        for name in present:
            if name not in chosen[:1]:
                values[name] = None


def _expected(kind: Annotation) -> str:
    if dataclasses.is_dataclass(kind):
        return f"an object of type {typing.cast(type, kind).__name__}"
    origin: Any = typing.get_origin(kind)
    if origin is tuple:
        return "a list"
    if origin is Mapping:
        return "a mapping"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return f"one of {', '.join(each.name for each in kind)}"
    return _KINDS.get(kind, str(kind))


def _shown(value: object) -> str:
    """Formats a value, shortened, with its type: `'a' of type str`."""
    text = "a value" if dataclasses.is_dataclass(value) else repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} of type {type(value).__name__}"
