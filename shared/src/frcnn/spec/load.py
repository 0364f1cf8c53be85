"""Protobuf text -> checked, typed, read-only spec."""

import dataclasses
import logging
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from google.protobuf.message import Message

from frcnn.errors import Problem, SpecError
from frcnn.spec import dataset_export_pb2, experiment_pb2
from frcnn.spec.derive import derive, without_masks
from frcnn.spec.rules import check
from frcnn.spec.rules.warnings import experiment_remarks
from frcnn.spec.schema.constraints import did_you_mean
from frcnn.spec.schema.experiment import DatasetExportConfig, Experiment
from frcnn.spec.schema.from_message import to_config
from frcnn.spec.textproto.positions import Positions, is_inside
from frcnn.spec.textproto.reader import Reader, read

log = logging.getLogger(__name__)

Spec = TypeVar("Spec", bound=Experiment | DatasetExportConfig)


@dataclasses.dataclass(frozen=True)
class Loaded(Generic[Spec]):
    """A spec, and where in its file each field stands."""

    spec: Spec
    positions: Positions


def load_experiment(path: Path) -> Experiment:
    """The experiment spec in the file `path`.

    Raises:
        SpecError: the file cannot be read or has faults; all of them are named.
    """
    return parse_experiment(read_text(path), str(path)).spec


def load_dataset_export(path: Path) -> DatasetExportConfig:
    """The dataset_convert spec in the file `path`.

    Raises:
        SpecError: the file cannot be read or has faults; all of them are named.
    """
    return parse_dataset_export(read_text(path), str(path)).spec


def load_any(path: Path) -> Loaded[Experiment] | Loaded[DatasetExportConfig]:
    """The spec in the file `path`, of the kind that its fields are of.

    Raises:
        SpecError: the file cannot be read or has faults; all of them are named.
    """
    text = read_text(path)
    as_experiment = read(text, experiment_pb2.Experiment())
    as_export = read(text, dataset_export_pb2.DatasetExportConfig())
    if len(as_export.problems) < len(as_experiment.problems):
        return parse_dataset_export(text, str(path))
    return parse_experiment(text, str(path))


def parse_experiment(text: str, source: str = "", *, remarks: bool = True) -> Loaded[Experiment]:
    """The experiment spec in `text`; `source` is what messages call it.

    Without `remarks` nothing is said of settings that have no effect.

    Raises:
        SpecError: the text has faults; all of them are named.
    """
    reader, spec = _parse(text, source, experiment_pb2.Experiment(), Experiment)
    for remark in experiment_remarks(spec) if remarks else ():
        log.warning("%s: %s", source, reader.positions.locate(remark))
    return Loaded(derive(without_masks(spec)), reader.positions)


def parse_dataset_export(text: str, source: str = "") -> Loaded[DatasetExportConfig]:
    """The dataset_convert spec in `text`; `source` is what messages call it.

    Raises:
        SpecError: the text has faults; all of them are named.
    """
    reader, spec = _parse(text, source, dataset_export_pb2.DatasetExportConfig(), DatasetExportConfig)
    return Loaded(spec, reader.positions)


def read_text(path: Path) -> str:
    """The text of the file `path`, without a byte order mark.

    Raises:
        SpecError: it is not there, or not text in UTF-8.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        near = did_you_mean(path.name, (file.name for file in path.parent.glob("*")))
        raise SpecError(str(path), [Problem("", f"cannot be read: {error.strerror}{near}")]) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].split(b"\n")
        problem = Problem("", "not text in UTF-8", len(before), len(before[-1]) + 1)
        raise SpecError(str(path), [problem]) from error


def _parse(text: str, source: str, message: Message, cls: type[Spec]) -> tuple[Reader, Spec]:
    reader = read(text, message)
    missing: list[Problem] = []
    spec = to_config(message, cls, missing)
    checked = check.experiment_problems(spec) if isinstance(spec, Experiment) else check.export_problems(spec)
    problems = [*reader.problems, *_not_following(missing, reader.doubtful)]
    problems += _not_following(checked, reader.doubtful | {problem.path for problem in missing})
    if problems:
        located = map(reader.positions.locate, problems)
        raise SpecError(source, sorted(located, key=lambda p: (p.line is None, p.line or 0, p.column or 0)))
    return reader, dataclasses.replace(spec, text=text, source=source)


def _not_following(problems: Iterable[Problem], doubtful: Collection[str]) -> list[Problem]:
    """The problems that are not mere consequences of a field's value being unknown."""
    return [
        problem
        for problem in problems
        if not any(is_inside(problem.path, path) or is_inside(path, problem.path) for path in doubtful)
    ]
