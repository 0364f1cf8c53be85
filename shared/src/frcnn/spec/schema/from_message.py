"""Converts protobuf messages to config objects, based on the annotations of the config classes."""

import dataclasses
import enum
import functools
import struct
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from google.protobuf.message import Message

from frcnn.errors import Problem
from frcnn.spec.schema.constraints import Constraint, ZeroIsNotSet
from frcnn.spec.schema.frozen_map import FrozenMap

Annotation = Any  # Result of typing.get_type_hints: a class, an Annotated, a union, ...
Config = TypeVar("Config")

_NOT_IN_SCHEMA = ("text", "source")


def to_config(message: Message, cls: type[Config], problems: list[Problem], path: str = "") -> Config:
    """Converts a message to a config object with defaults applied.

    A required field that is not set gets a placeholder value, so that the other fields can be checked too.

    Args:
        message: Protobuf message.
        cls: Config class of the message.
        problems: List that receives a problem for each required field that is not set.
        path: Path of the message in the spec; empty for the whole spec.

    Returns:
        Instance of `cls`. It is valid only if no problem was added.
    """
    values = {}
    for field, annotation in schema_fields(cls):
        field_path = f"{path}.{field.name}" if path else field.name
        descriptor = message.DESCRIPTOR.fields_by_name[field.name]
        if _is_set(message, field.name, annotation):
            values[field.name] = _value(getattr(message, field.name), annotation, problems, field_path)
        elif _sibling_is_set(message, descriptor):
            values[field.name] = None
        elif _is_required(field):
            problems.append(Problem(field_path, f"required, but not set{_expected(annotation)}"))
            values[field.name] = stand_in(annotation)
    return cls(**values)


def schema_fields(cls: type) -> Iterator[tuple[dataclasses.Field[Any], Annotation]]:
    """Yields the fields of a config class that are fields of its message.

    Args:
        cls: Config class.

    Yields:
        Tuples of field and annotation.
    """
    hints = _hints(cls)
    for field in dataclasses.fields(cls):
        if field.name not in _NOT_IN_SCHEMA:
            yield field, hints[field.name]


def split_annotation(annotation: Annotation) -> tuple[Annotation, tuple[object, ...]]:
    """Splits an annotation into the plain type and the metadata of `Annotated`.

    Args:
        annotation: Type annotation of a field.

    Returns:
        Tuple of the type without `Annotated` and `| None`, and the metadata.
    """
    extras: tuple[object, ...] = ()
    while True:
        origin: Any = typing.get_origin(annotation)
        if origin is typing.Annotated:
            annotation, *more = typing.get_args(annotation)
            extras = (*more, *extras)
        elif origin in (types.UnionType, typing.Union):
            (annotation,) = (arg for arg in typing.get_args(annotation) if arg is not types.NoneType)
        else:
            return annotation, extras


def default_of(field: dataclasses.Field[Any]) -> object:
    """Returns the default of a field.

    Args:
        field: Dataclass field.

    Returns:
        Default value; `dataclasses.MISSING` for a required field.
    """
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


@functools.cache
def _hints(cls: type) -> dict[str, Annotation]:
    return typing.get_type_hints(cls, include_extras=True)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return default_of(field) is dataclasses.MISSING


def _expected(annotation: Annotation) -> str:
    texts = [extra.text for extra in split_annotation(annotation)[1] if isinstance(extra, Constraint)]
    return f"; expected {', '.join(texts)}" if texts else ""


def _sibling_is_set(message: Message, descriptor: Any) -> bool:
    """Checks whether another member of the field's oneof is set. `optional` creates oneofs of one member."""
    oneof = descriptor.containing_oneof
    return oneof is not None and message.WhichOneof(oneof.name) not in (None, descriptor.name)


def _is_set(message: Message, name: str, annotation: Annotation) -> bool:
    descriptor = message.DESCRIPTOR.fields_by_name[name]
    if not descriptor.has_presence:
        return len(getattr(message, name)) > 0
    if not message.HasField(name):
        return False
    counts_as_unset = any(isinstance(extra, ZeroIsNotSet) for extra in split_annotation(annotation)[1])
    return bool(getattr(message, name)) or not counts_as_unset


def _value(value: Any, annotation: Annotation, problems: list[Problem], path: str) -> object:
    kind, _ = split_annotation(annotation)
    origin: Any = typing.get_origin(kind)
    if origin is tuple:
        item = typing.get_args(kind)[0]
        return tuple(_value(v, item, problems, f"{path}[{i}]") for i, v in enumerate(value))
    if origin is Mapping:
        item = typing.get_args(kind)[1]
        pairs = {key: _value(value[key], item, problems, f'{path}["{key}"]') for key in sorted(value)}
        return FrozenMap(pairs)
    if dataclasses.is_dataclass(kind):
        return to_config(value, typing.cast(type, kind), problems, path)
    if issubclass(kind, enum.Enum):
        return kind(value)
    return shortest_float(value) if kind is float else kind(value)


def stand_in(annotation: Annotation) -> object:
    """Returns a placeholder for a field whose value is unknown.

    Args:
        annotation: Type annotation of the field.

    Returns:
        Empty or zero value of the type.
    """
    kind, _ = split_annotation(annotation)
    origin: Any = typing.get_origin(kind)
    if origin is tuple:
        return ()
    if origin is Mapping:
        return FrozenMap()
    if dataclasses.is_dataclass(kind):
        fields = schema_fields(typing.cast(type, kind))
        return typing.cast(type, kind)(
            **{field.name: stand_in(hint) for field, hint in fields if _is_required(field)}
        )
    return kind()


def shortest_float(value: float) -> float:
    """Returns the shortest decimal that rounds to the same float32, for example 0.7 for 0.699999988079071.

    Args:
        value: Number in the range of float32.

    Returns:
        The number with at most nine significant digits.
    """
    # Nine significant digits identify every float32.
    shorter = (float(f"{value:.{digits}g}") for digits in range(6, 10))
    same = struct.pack("<f", value)
    return next(short for short in shorter if struct.pack("<f", short) == same)
