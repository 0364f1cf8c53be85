"""Replaces values of a spec by path, with the same paths as in messages."""

import dataclasses
import re
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from frcnn.errors import Problem
from frcnn.spec.python_values import members_beside
from frcnn.spec.schema.constraints import did_you_mean
from frcnn.spec.schema.from_message import schema_fields, split_annotation
from frcnn.spec.schema.frozen_map import FrozenMap

Config = TypeVar("Config")

_STEP = re.compile(r'(?P<field>\w+)|\[(?P<index>\d+)\]|\["(?P<key>[^"]*)"\]')


def with_values(config: Config, values: Mapping[str, object], problems: list[Problem]) -> Config:
    """Replaces values of a spec object. Checks only that the paths exist.

    Args:
        config: Spec object.
        values: New values by path, for example `training_config.num_epochs`,
            `dataset_config.data_sources[0].tfrecords_path` or
            `dataset_config.target_class_mapping["van"]`. Messages that are not set are created. Setting one
            of several mutually exclusive fields removes the others.
        problems: List to which paths that do not exist are appended; their values are left out.

    Returns:
        Changed copy.
    """
    changed: Any = config
    # By length of the path, so that a message is set before single values in it.
    for path, value in sorted(values.items(), key=lambda item: len(_STEP.findall(item[0]))):
        try:
            changed = _with_value(changed, _steps(path), value, path)
        except _NoSuchFieldError as error:
            problems.append(Problem(path, str(error)))
    return typing.cast(Config, changed)


class _NoSuchFieldError(Exception):
    """Path that does not lead to a field."""


def _steps(path: str) -> list["re.Match[str]"]:
    found = list(_STEP.finditer(path))
    rebuilt = "".join(match[0] if match["field"] is None else f".{match[0]}" for match in found)
    if not found or rebuilt.lstrip(".") != path:
        raise _NoSuchFieldError(
            "invalid path; expected names with dots between them, like training_config.num_epochs"
        )
    return found


def _with_value(config: Any, steps: list["re.Match[str]"], value: object, path: str) -> Any:
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if step["index"] is not None:
        return _with_item(config, int(step["index"]), rest, value, path)
    if step["key"] is not None:
        if not isinstance(config, Mapping) or rest:
            raise _NoSuchFieldError("this field is not a map")
        return FrozenMap({**config, step["key"]: value})
    return _with_field(config, step[0], rest, value, path)


def _with_item(config: Any, index: int, rest: list["re.Match[str]"], value: object, path: str) -> Any:
    if not isinstance(config, tuple | list):
        raise _NoSuchFieldError("this field is not a list")
    if index >= len(config):
        raise _NoSuchFieldError(f"no entry {index}; the list has {len(config)}")
    items = list(config)
    items[index] = _with_value(items[index], rest, value, path)
    return tuple(items)


def _with_field(config: Any, name: str, rest: list["re.Match[str]"], value: object, path: str) -> Any:
    hints = {field.name: hint for field, hint in schema_fields(type(config))} if _is_config(config) else {}
    if name not in hints:
        raise _NoSuchFieldError(f"no such field {name!r}{did_you_mean(name, hints)}")
    inner = getattr(config, name)
    if rest and inner is None:
        inner = _fresh(split_annotation(hints[name])[0], rest[0][0], path)
    changes: dict[str, Any] = {name: _with_value(inner, rest, value, path)}
    if changes[name] is not None:
        changes |= dict.fromkeys(members_beside(type(config), name))
    return dataclasses.replace(config, **changes)


def _is_config(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _fresh(kind: Any, name: str, path: str) -> Any:
    """Creates a message that is not set yet. `name` is the field that will be set next."""
    if not dataclasses.is_dataclass(kind):
        raise _NoSuchFieldError("this field is a single value without subfields")
    missing = dataclasses.MISSING
    required = [
        field.name
        for field, _ in schema_fields(typing.cast(type, kind))
        if field.default is missing and field.default_factory is missing and field.name != name
    ]
    if required:
        whole = path[: path.rindex(name) - 1]
        kind_name = typing.cast(type, kind).__name__
        raise _NoSuchFieldError(
            f"{whole} is not set and also requires {', '.join(required)}; give a complete {kind_name}"
        )
    return typing.cast(Any, kind)(**({name: None} if _needs(kind, name) else {}))


def _needs(kind: Any, name: str) -> bool:
    return any(
        field.name == name
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
        for field, _ in schema_fields(kind)
    )
