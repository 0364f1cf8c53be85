"""Reads protobuf text into a checked, typed, read-only spec."""

import dataclasses
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from google.protobuf import text_format
from google.protobuf.message import Message

from frcnn.errors import Problem, SpecError
from frcnn.limits import SPEC_BYTES, SPEC_PROBLEMS, TooLargeError, read_at_most
from frcnn.spec import dataset_export_pb2, experiment_pb2
from frcnn.spec.assignments import assign
from frcnn.spec.derive import derive, without_masks
from frcnn.spec.rules import check
from frcnn.spec.rules.warnings import experiment_warnings
from frcnn.spec.schema.constraints import did_you_mean
from frcnn.spec.schema.experiment import Experiment
from frcnn.spec.schema.export import DatasetExportConfig
from frcnn.spec.schema.from_message import to_config
from frcnn.spec.textproto.positions import Positions, not_following
from frcnn.spec.textproto.reader import Reader, read

log = logging.getLogger(__name__)

# A comment, a string, a bracket or a word.
_TOKEN = re.compile(r"""#[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[{}<>\[\]]|[A-Za-z_]\w*""")

Spec = TypeVar("Spec", bound=Experiment | DatasetExportConfig)


@dataclasses.dataclass(frozen=True)
class Loaded(Generic[Spec]):
    """Spec and the positions of its fields in the file."""

    spec: Spec
    positions: Positions


def load_experiment(path: Path, settings: Sequence[str] = ()) -> Experiment:
    """Reads an experiment spec from a file.

    Args:
        path: File with protobuf text.
        settings: Settings of single fields, see `frcnn.spec.assignments`.

    Returns:
        The checked spec.

    Raises:
        SpecError: The file cannot be read or has errors; the message lists all of them.
    """
    return parse_experiment(read_text(path), str(path), settings=settings).spec


def load_dataset_export(path: Path, settings: Sequence[str] = ()) -> DatasetExportConfig:
    """Reads a dataset_convert spec from a file; see `load_experiment`."""
    return parse_dataset_export(read_text(path), str(path), settings=settings).spec


def load_any(path: Path, settings: Sequence[str] = ()) -> Loaded[Experiment] | Loaded[DatasetExportConfig]:
    """Reads a spec of either kind from a file. Its fields determine the kind.

    Args:
        path: File with protobuf text.
        settings: Settings of single fields, see `frcnn.spec.assignments`.

    Returns:
        The checked spec with field positions.

    Raises:
        SpecError: The file cannot be read or has errors; the message lists all of them.
    """
    text = read_text(path)
    as_experiment = read(text, experiment_pb2.Experiment())
    as_export = read(text, dataset_export_pb2.DatasetExportConfig())
    if len(as_export.problems) < len(as_experiment.problems):
        return parse_dataset_export(text, str(path), settings=settings)
    return parse_experiment(text, str(path), settings=settings)


def parse_experiment(
    text: str, source: str = "", *, remarks: bool = True, settings: Sequence[str] = ()
) -> Loaded[Experiment]:
    """Parses an experiment spec.

    Args:
        text: Protobuf text.
        source: Name of the spec in messages.
        remarks: Whether to log warnings about values that are valid but probably not intended.
        settings: Settings of single fields, see `frcnn.spec.assignments`.

    Returns:
        The checked spec with field positions.

    Raises:
        SpecError: The text has errors; the message lists all of them.
    """
    reader, spec = _parse(text, source, experiment_pb2.Experiment(), Experiment, settings)
    for remark in experiment_warnings(spec) if remarks else ():
        log.warning("%s: %s", source, reader.positions.locate(remark))
    return Loaded(derive(without_masks(spec)), reader.positions)


def parse_dataset_export(
    text: str, source: str = "", *, settings: Sequence[str] = ()
) -> Loaded[DatasetExportConfig]:
    """Parses a dataset_convert spec; see `parse_experiment`."""
    message = dataset_export_pb2.DatasetExportConfig()
    reader, spec = _parse(text, source, message, DatasetExportConfig, settings)
    return Loaded(spec, reader.positions)


def checked_text(text: str, source: str = "", *, settings: Sequence[str] = ()) -> str:
    """Checks the text of an experiment spec, after setting fields in it. No warnings are logged.

    Args:
        text: Protobuf text.
        source: Name of the spec in messages.
        settings: Settings of single fields, see `frcnn.spec.assignments`.

    Returns:
        The text with the settings.

    Raises:
        SpecError: The text has errors; the message lists all of them.
    """
    return parse_experiment(text, source, remarks=False, settings=settings).spec.text


def checked_conversion_text(text: str, source: str = "") -> str:
    """Checks the text of a dataset_convert spec, as `checked_text` does."""
    return parse_dataset_export(text, source).spec.text


def read_text(path: Path) -> str:
    """Reads a text file and removes a byte order mark.

    Args:
        path: Text file.

    Returns:
        Text of the file.

    Raises:
        SpecError: The file does not exist, is too large or is not UTF-8 text.
    """
    path = Path(path)
    try:
        data = read_at_most(path, SPEC_BYTES)
    except TooLargeError as error:
        text = f"is {error}, the maximum for a spec; is this the right file?"
        raise SpecError(str(path), [Problem("", text)]) from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or str(error)
        problem = Problem("", f"cannot be read: {reason}{_near(path)}")
        raise SpecError(str(path), [problem]) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].split(b"\n")
        problem = Problem("", "not text in UTF-8", len(before), len(before[-1]) + 1)
        raise SpecError(str(path), [problem]) from error
    # Line breaks of old Macintoshes; a comment would extend to the end of the text.
    return text if "\n" in text else text.replace("\r", "\n")


def _near(path: Path) -> str:
    """Returns what may have been meant instead of a file that cannot be read."""
    if not path.is_dir():
        if os.path.lexists(path):
            return ""
        return did_you_mean(path.name, (file.name for file in path.parent.glob("*")))
    written = [str(path / name) for name in ("experiment.txt", "convert.txt") if (path / name).is_file()]
    if written:
        return f"; did you mean {' or '.join(written)}?"
    return "; expected the file of a spec (frcnn spec new writes one for a data set)"


def _parse(
    text: str, source: str, message: Message, cls: type[Spec], settings: Sequence[str]
) -> tuple[Reader, Spec]:
    text = text.removeprefix("\ufeff")
    if len(text) > SPEC_BYTES:
        text = f"is longer than {SPEC_BYTES} characters, the maximum for a spec"
        raise SpecError(source, [Problem("", text)])
    reader = read(text, message)
    _check_kind(text, source, message, reader)
    faulty = assign(message, reader.positions, settings)
    missing: list[Problem] = []
    spec = to_config(message, cls, missing)
    if reader.stopped:
        raise SpecError(source, reader.problems)
    checked = check.experiment_problems(spec) if isinstance(spec, Experiment) else check.export_problems(spec)
    doubtful = {*reader.doubtful, *(problem.path for problem in faulty if problem.path)}
    problems = [*reader.problems, *not_following(missing, doubtful)]
    problems += not_following(checked, doubtful | {problem.path for problem in missing})
    if problems or faulty:
        # An error in a setting has no position in the text.
        located = [*map(reader.positions.locate, problems), *faulty]
        ordered = sorted(located, key=lambda p: (p.line is None, p.line or 0, p.column or 0))
        raise SpecError(source, _shortened(ordered))
    if settings:
        # Include the settings in the text that is passed on.
        text = text_format.MessageToString(message, as_utf8=True)
    return reader, dataclasses.replace(spec, text=text, source=source)


def _shortened(problems: list[Problem]) -> list[Problem]:
    """Returns the first problems and a last one with the number of others."""
    rest = len(problems) - SPEC_PROBLEMS
    return [*problems[:SPEC_PROBLEMS], Problem("", f"and {rest} more")] if rest > 0 else problems


def _check_kind(text: str, source: str, message: Message, reader: Reader) -> None:
    """Reports a text of the wrong kind in one sentence instead of listing each field as an error.

    Raises:
        SpecError: No field belongs to this kind of spec.
    """
    experiment = experiment_pb2.Experiment.DESCRIPTOR
    export = dataset_export_pb2.DatasetExportConfig.DESCRIPTOR
    wanted, other = (experiment, export) if message.DESCRIPTOR is experiment else (export, experiment)
    if not reader.problems:
        return
    names = _top_level_names(text)
    if not names.isdisjoint(wanted.fields_by_name):
        return
    found, expected = (_kind(each) for each in (other, wanted))
    if not names.isdisjoint(other.fields_by_name):
        raise SpecError(source, [Problem("", f"this is {found}; expected {expected}")])
    # Blocks with a misspelled name are still read.
    if (len(reader.problems) > 1 or not names) and not message.ListFields():
        raise SpecError(source, [Problem("", f"this is not a spec; expected {expected}: see docs/spec.md")])


def _kind(descriptor: Any) -> str:
    is_experiment = descriptor is experiment_pb2.Experiment.DESCRIPTOR
    names = ("model_config", "training_config") if is_experiment else ("kitti_config", "coco_config")
    return f"{'an experiment' if is_experiment else 'a dataset_convert'} spec ({', '.join(names)}, ...)"


def _top_level_names(text: str) -> set[str]:
    """Returns the words outside brackets, strings and comments."""
    depth, names = 0, set()
    for token in _TOKEN.findall(text):
        depth += (token in ("{", "<", "[")) - (token in ("}", ">", "]"))
        if depth == 0 and token[0].isidentifier():
            names.add(token)
    return names
