"""Suggestions for unknown field names."""

from collections.abc import Iterator
from typing import Any

from frcnn.spec.schema.constraints import nearest

# A message descriptor: its class depends on how protobuf was built.
MessageType = Any

# The message of a whole file, of each schema.
_TOP_LEVEL = ("Experiment", "DatasetExportConfig", "TuningSpace")
# Names in TAO's user guide that differ from those of the schema.
_ALSO_KNOWN_AS = {"use_voc_11_point_metric": "use_voc07_11point_metric"}


def unknown_field(name: str, descriptor: MessageType) -> tuple[str | None, list[str], str]:
    """Finds the field that was probably meant by an unknown name.

    Args:
        name: Unknown field name.
        descriptor: Descriptor of the message where the name was found.

    Returns:
        Tuple of the name of the similar field of this message (`None` if there is none), the paths where a
        field with exactly this name exists, and the error message.
    """
    known = descriptor.fields_by_name
    elsewhere = [path for path in _paths(_root(descriptor)) if path.rpartition(".")[2] == name]
    if elsewhere:
        return None, elsewhere, f"unknown field here; it belongs to {' or '.join(_parents(elsewhere))}"
    alias = _ALSO_KNOWN_AS.get(name)
    near = alias if alias in known else nearest(name, known)
    if near is not None:
        return near, [], f"unknown field; did you mean '{near}'?"
    return None, [], f"unknown field; expected one of {', '.join(known)}"


def _parents(paths: list[str]) -> list[str]:
    return [path.rpartition(".")[0] or "the top level" for path in paths]


def _root(descriptor: MessageType) -> MessageType:
    """Returns the top-level message of the schema."""
    messages = descriptor.file.message_types_by_name
    return next(messages[name] for name in _TOP_LEVEL if name in messages)


def leaf_paths(descriptor: MessageType) -> Iterator[str]:
    """Yields the paths of all fields that hold values instead of blocks.

    Args:
        descriptor: Descriptor of a message.
    """
    for path in (paths := list(_paths(descriptor))):
        if not any(other.startswith(f"{path}.") for other in paths):
            yield path


def _paths(descriptor: MessageType, path: str = "") -> Iterator[str]:
    for field in descriptor.fields:
        yield (own := f"{path}.{field.name}" if path else field.name)
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            yield from _paths(field.message_type, own)
