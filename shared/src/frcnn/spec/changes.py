"""Compares two specs field by field."""

import dataclasses
import enum
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from frcnn.spec.load import parse_experiment


class Change(NamedTuple):
    """Spec field with its values before and after; `None` where it is not set."""

    path: str
    old: object
    new: object

    def __str__(self) -> str:
        """Formats the change as `training_config.lambda_rpn_regr: 1.0 -> 2.0`."""
        return f"{self.path}: {shown(self.old)} -> {shown(self.new)}"


def changes(before: str, after: str, source: str) -> list[Change]:
    """Lists the fields in which two experiment specs differ, down to single values.

    Args:
        before: Text of a spec.
        after: Text of a checked spec.
        source: Name of the first spec in messages.

    Returns:
        Changed fields in the order of the schema.

    Raises:
        SpecError: The first spec has errors.
    """
    old = parse_experiment(before, source, remarks=False).spec
    return list(_changes(old, parse_experiment(after, remarks=False).spec, ""))


def shown(value: object) -> str:
    """Formats the value of a field; a block as its fields that are set."""
    if value is None:
        return "not set"
    if dataclasses.is_dataclass(value):
        set_ = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return ", ".join(f"{name} {each}" for name, each in set_.items() if each is not None)
    return value.name if isinstance(value, enum.Enum) else str(value)


def _changes(old: object, new: object, path: str) -> Iterator[Change]:
    if dataclasses.is_dataclass(old) and type(old) is type(new):
        for field in dataclasses.fields(old):
            name = f"{path}.{field.name}" if path else field.name
            yield from _changes(getattr(old, field.name), getattr(new, field.name), name)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _changes(old.get(key), new.get(key), f"{path}[{key!r}]")
    elif old != new:
        yield Change(path, old, new)
