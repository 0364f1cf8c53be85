"""Looks up fields of the experiment spec in its schema."""

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Kind

from frcnn.spec import experiment_pb2
from frcnn.spec.textproto import suggestions

_PART = re.compile(r"(?P<name>\w+)(?:\[(?P<place>\d+)\])?\Z")


def field_at(path: str) -> Any:
    """Finds a field in the schema.

    Args:
        path: Names with dots between them, and `[0]` after a list of blocks.

    Returns:
        Descriptor of the field; an error text if there is no such field.
    """
    descriptor: Any = experiment_pb2.Experiment.DESCRIPTOR
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


def oneof_members(path: str) -> Iterator[tuple[str, str]]:
    """Finds the blocks on the way to a field of which a spec has at most one.

    Args:
        path: Path of a field in the schema.

    Yields:
        Path of each oneof that the field belongs to, and the name of its member.
    """
    walked = ""
    for part in path.split("."):
        field = field_at(f"{walked}{part}")
        if field.containing_oneof is not None:
            yield f"{walked}{field.containing_oneof.name}", field.name
        walked += f"{part}."


def is_number(field: Any) -> bool:
    """Checks whether a field holds numbers."""
    return field.type in (Kind.TYPE_FLOAT, Kind.TYPE_UINT32)
