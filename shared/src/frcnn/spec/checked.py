"""Checks specs built in Python with the same rules as specs read from text."""

import logging
from collections.abc import Sequence

from frcnn.errors import Problem, SpecError
from frcnn.spec.derive import derive, without_masks
from frcnn.spec.python_values import normalized
from frcnn.spec.rules import check
from frcnn.spec.rules.warnings import experiment_warnings
from frcnn.spec.schema.experiment import Experiment
from frcnn.spec.schema.export import DatasetExportConfig
from frcnn.spec.textproto.positions import not_following

log = logging.getLogger(__name__)

BUILT = "spec"  # name in messages of a spec that was not read from a file


def checked_experiment(spec: Experiment, known: Sequence[Problem] = ()) -> Experiment:
    """Checks an experiment spec and fills in derived values. Checking a spec again does not change it.

    Args:
        spec: Experiment spec, read from text or built in Python.
        known: Problems to report with those of the spec.

    Returns:
        The spec as `frcnn.spec.load` would read it from a file.

    Raises:
        SpecError: The spec has errors; the message lists all of them.
    """
    problems = [*known]
    found = normalized(spec, problems)
    _raise_all(spec.source, problems, list(check.experiment_problems(found)))
    if not spec.text:  # warnings about a text were logged when it was read
        for remark in experiment_warnings(found):
            log.warning("%s: %s", spec.source or BUILT, remark)
    return derive(without_masks(found))


def checked_export(spec: DatasetExportConfig, known: Sequence[Problem] = ()) -> DatasetExportConfig:
    """Checks a dataset_convert spec.

    Args:
        spec: dataset_convert spec, read from text or built in Python.
        known: Problems to report with those of the spec.

    Returns:
        The spec with all values converted to their types.

    Raises:
        SpecError: The spec has errors; the message lists all of them.
    """
    problems = [*known]
    found = normalized(spec, problems)
    _raise_all(spec.source, problems, list(check.export_problems(found)))
    return found


def _raise_all(source: str, types: list[Problem], rules: list[Problem]) -> None:
    """Raises `SpecError` for all problems except those caused by a value of a wrong type."""
    rest = not_following(rules, [problem.path for problem in types if problem.path])
    if types or rest:
        raise SpecError(source or BUILT, [*types, *rest])
