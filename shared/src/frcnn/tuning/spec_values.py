"""Looks up fields of the experiment spec by path: their kind in the schema, and their numbers in a spec."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor as Kind

from frcnn.spec.experiment_pb2 import Experiment as Message
from frcnn.spec.textproto import suggestions

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

_PART = re.compile(r"(?P<name>\w+)(?:\[(?P<place>\d+)\])?\Z")


def field_at(path: str) -> Any:
    """Finds a field in the schema.

    Args:
        path: Names with dots between them, and `[0]` after a list of blocks.

    Returns:
        Descriptor of the field; an error text if there is no such field.
    """
    descriptor: Any = Message.DESCRIPTOR
    field: Any = None
    for part in path.split("."):
        match = _PART.match(part)
        if match is None:
            return f"found {part or 'nothing'}; expected the name of a field"
        if descriptor is None:
            return "unknown field; a single value has no fields"
        field = descriptor.fields_by_name.get(match["name"])
        if field is None and descriptor.GetOptions().map_entry:
            field = descriptor.fields_by_name["value"]  # the part is a key of the map
        if field is None:
            _, elsewhere, text = suggestions.unknown_field(match["name"], descriptor)
            return f"unknown field; did you mean '{elsewhere[0]}'?" if elsewhere else text
        descriptor = field.message_type
    return field


def is_number(field: Any) -> bool:
    """Checks whether a field holds numbers."""
    return field.type in (Kind.TYPE_FLOAT, Kind.TYPE_UINT32)


def numbers_at(spec: "Experiment", path: str) -> tuple[float, ...]:
    """Returns the numbers of a field in a spec.

    Args:
        spec: Experiment spec.
        path: Path of the field.

    Returns:
        Its items, or its single value; empty if it is not set.
    """
    value: Any = spec
    for name, place in re.findall(r"(\w+)(?:\[(\d+)\])?", path):
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
        if place and isinstance(value, tuple):
            value = value[int(place)] if int(place) < len(value) else None
        if value is None:
            return ()
    return tuple(value) if isinstance(value, tuple) else (value,)
