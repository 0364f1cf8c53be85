"""Suggestions for unknown field names."""

import difflib
from collections.abc import Iterator
from typing import Any

from frcnn.spec.schema.constraints import nearest

# A message descriptor: its class depends on how protobuf was built.
MessageType = Any

# The message of a whole file, of each schema.
_TOP_LEVEL = ("Experiment", "DatasetExportConfig", "TuningSpace")
# Names in TAO's user guide and in other programs that differ from those of the schema. (An optimizer's
# `lr` is ignored.)
_ALSO_KNOWN_AS = {
    "use_voc_11_point_metric": "use_voc07_11point_metric",
    "lr": "base_lr",
    "lr0": "base_lr",
    "seed": "random_seed",
}
# Similarity from which a name counts as mistyped.
_NEAR = 0.75
# Shortest name that is looked for within names of fields.
_SHORTEST_PART = 4


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
    longer = [each for each in known if each.startswith(f"{name}_") and known[each].message_type is None]
    if len(longer) == 1:  # `batch_size` in training_config is batch_size_per_gpu, not that of another block
        return longer[0], [], f"unknown field; did you mean '{longer[0]}'?"
    meant = _ALSO_KNOWN_AS.get(name, name)
    elsewhere = [path for path in _paths(root_of(descriptor)) if path.rpartition(".")[2] == meant]
    if elsewhere and meant == name:
        return None, elsewhere, f"unknown field here; it belongs to {' or '.join(_parents(elsewhere))}"
    near = meant if meant in known else None if elsewhere else nearest(name, known)
    if near is not None:
        return near, [], f"unknown field; did you mean '{near}'?"
    if elsewhere:
        return None, elsewhere, f"unknown field; did you mean {' or '.join(elsewhere)}?"
    return None, [], f"unknown field; expected one of {', '.join(known)}"


def _parents(paths: list[str]) -> list[str]:
    return [path.rpartition(".")[0] or "the top level" for path in paths]


def root_of(descriptor: MessageType) -> MessageType:
    """Returns the top-level message of the schema.

    Args:
        descriptor: Descriptor of a message.
    """
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


def similar_paths(name: str, descriptor: MessageType) -> list[str]:
    """Finds the fields of all blocks whose names are, contain or resemble a name, the most similar first.

    Args:
        name: Name that is not a field of the message.
        descriptor: Descriptor of the top-level message.

    Returns:
        Paths of fields that hold values.
    """
    by_name: dict[str, list[str]] = {}
    for path in leaf_paths(descriptor):
        by_name.setdefault(path.rpartition(".")[2], []).append(path)
    meant = _ALSO_KNOWN_AS.get(name, name)
    names = [each for each in by_name if each == meant or (len(meant) >= _SHORTEST_PART and meant in each)]
    names = names or difflib.get_close_matches(meant, by_name, n=1, cutoff=_NEAR)
    # Names that begin with the given one come before those that only contain it, else the schema's order.
    names.sort(key=lambda each: (each != meant, not each.startswith(meant)))
    return [path for each in names for path in by_name[each]]


def _paths(descriptor: MessageType, path: str = "") -> Iterator[str]:
    for field in descriptor.fields:
        yield (own := f"{path}.{field.name}" if path else field.name)
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            yield from _paths(field.message_type, own)
