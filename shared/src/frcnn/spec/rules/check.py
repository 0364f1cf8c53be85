"""Checks values of a parsed spec: ranges of single fields, and rules across fields.

Constraints of single fields are in the annotations of the config classes. Rules across fields are in the
other modules of this package. Both yield `Problem`s without line and column, which the loader adds.
Commands check whether files exist when they use them, because a spec may be checked on another machine.
"""

import dataclasses
import math
import typing
from collections.abc import Iterable, Iterator, Mapping

from frcnn.errors import Problem
from frcnn.spec.rules import data, export, model, training
from frcnn.spec.schema.constraints import Constraint
from frcnn.spec.schema.experiment import Experiment
from frcnn.spec.schema.export import DatasetExportConfig
from frcnn.spec.schema.from_message import Annotation, schema_fields, split_annotation


def experiment_problems(spec: Experiment) -> Iterator[Problem]:
    """Yields the errors of an experiment spec, at most one per field.

    Args:
        spec: Experiment spec.

    Yields:
        Problems without line and column.
    """
    rules = (*model.RULES, *data.RULES, *training.RULES)
    yield from _first_of_each_path([*_field_problems(spec), *(p for rule in rules for p in rule(spec))])


def export_problems(spec: DatasetExportConfig) -> Iterator[Problem]:
    """Yields the errors of a dataset_convert spec, at most one per field.

    Args:
        spec: dataset_convert spec.

    Yields:
        Problems without line and column.
    """
    faults = [*_field_problems(spec), *(p for rule in export.RULES for p in rule(spec))]
    yield from _first_of_each_path(faults)


def _field_problems(config: object, path: str = "") -> Iterator[Problem]:
    """Yields values of a config object and its nested objects that violate the constraints of their field."""
    for field, annotation in schema_fields(type(config)):
        field_path = f"{path}.{field.name}" if path else field.name
        yield from _value_problems(getattr(config, field.name), annotation, field_path)


def _value_problems(value: object, annotation: Annotation, path: str) -> Iterator[Problem]:
    if value is None:
        return
    kind, extras = split_annotation(annotation)
    if (unusual := _unusual(value)) is not None:
        yield Problem(path, unusual)
    for extra in extras:
        fault = extra.fault(value) if isinstance(extra, Constraint) else None
        if fault is not None:
            yield Problem(path, fault)
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _value_problems(item, typing.get_args(kind)[0], f"{path}[{index}]")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _value_problems(item, typing.get_args(kind)[1], f'{path}["{key}"]')
    elif dataclasses.is_dataclass(value):
        yield from _field_problems(value, path)


def _unusual(value: object) -> str | None:
    """Returns the message about a value that no field may have."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"found {value:g}; expected a finite number"
    if isinstance(value, str) and "\0" in value:
        return "found a null character; control characters are not allowed"
    return None


def _first_of_each_path(problems: Iterable[Problem]) -> Iterable[Problem]:
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(problem.path, problem)
    return first.values()
