"""Reads search spaces from protobuf text and checks them against the schema and the experiment spec."""

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Kind

from frcnn.errors import Problem, SpecError
from frcnn.spec.assignments import SECRETS
from frcnn.spec.load import read_text
from frcnn.spec.schema.from_message import shortest_float
from frcnn.spec.textproto.reader import read
from frcnn.tuning import space_pb2
from frcnn.tuning.schema_fields import field_at, is_number, oneof_members
from frcnn.tuning.space import Searched, Space
from frcnn.tuning.tuned_spec import TunedSpec

# Fields that a search sets itself, or that name the data and files of this run.
_NOT_SEARCHED = re.compile(
    r"(dataset_config|inference_config|evaluation_config|random_seed|verbose|enc_key)\b"
    r"|training_config\.(num_epochs|checkpoint_interval|keep_checkpoints|save_best|resume_from_model"
    r"|retrain_pruned_model|early_stopping|visualizer|model_parallelism)\b"
)
# The decimal numbers of Optuna, which counts the steps, have a limited number of digits.
_MAX_STEPS = 1_000_000


def load_space(path: Path, spec: TunedSpec) -> Space:
    """Reads a search space from a file and checks it against the schema and the experiment spec.

    Args:
        path: File of protobuf text, see docs/tuning.md.
        spec: Experiment spec whose fields are searched.

    Returns:
        The space.

    Raises:
        SpecError: The file cannot be read or has errors; the message lists all of them with line and column.
    """
    return parse_space(read_text(path), str(path), spec)


def parse_space(text: str, source: str, spec: TunedSpec) -> Space:
    """Parses a search space and checks it against the schema and the experiment spec.

    Args:
        text: Protobuf text.
        source: Name of the file in messages.
        spec: Experiment spec whose fields are searched.

    Returns:
        The space.

    Raises:
        SpecError: The text has errors; the message lists all of them with line and column.
    """
    message = space_pb2.TuningSpace()
    reader = read(text, message)
    problems = list(reader.problems)
    if not problems:
        problems += map(reader.positions.locate, _problems(message, spec))
    if problems:
        raise SpecError(source, problems)
    return Space(tuple(_searched(each, spec) for each in message.search), source)


def _outside_schema(fields: Iterable[Searched], spec: TunedSpec) -> Iterator[tuple[int, str]]:
    """Sets the extreme values of each field in the spec; yields its index and the error for each."""
    for index, each in enumerate(fields):
        for chosen in each.values or (each.low, each.high):
            setting = each.setting(chosen)
            error = spec.error_of(setting)
            if error is not None:
                yield index, f"{setting.partition('=')[2]}: {error}"
                break


def _problems(message: Any, spec: TunedSpec) -> Iterator[Problem]:
    """Yields the errors of a space that parses correctly."""
    if not message.search:
        yield Problem("search", "no field to search; expected at least one search { field: ... }")
    seen: set[str] = set()
    chosen: dict[str, tuple[str, str]] = {}
    sound = []
    for index, each in enumerate(message.search):
        path = f"search[{index}]"
        fault = (
            _fault(each, spec)
            or (each.field in seen and ("field", "the field is searched twice"))
            or _conflict(each.field, chosen)
        )
        seen.add(each.field)
        if fault is None:
            sound.append((path, _searched(each, spec)))
        else:
            yield Problem(f"{path}.{fault[0]}", f"{each.field}: {fault[1]}" if each.field else fault[1])
    for index, text in _outside_schema([each for _, each in sound], spec):
        path, searched = sound[index]
        yield Problem(f"{path}.{'value' if searched.values else 'low'}", f"{searched.field}: {text}")


def _conflict(field: str, chosen: dict[str, tuple[str, str]]) -> tuple[str, str] | None:
    """Returns the error in a field that no spec has together with a former one.

    Args:
        field: Path of the field.
        chosen: Member and field that were found first, by path of the oneof; `field` is added.
    """
    for oneof, member in oneof_members(field):
        other, former = chosen.setdefault(oneof, (member, field))
        if other != member:
            return "field", (
                f"cannot be searched together with {former}; a spec has either {other} or {member}"
            )
    return None


def _fault(each: Any, spec: TunedSpec) -> tuple[str, str] | None:
    """Returns the invalid part of an entry and the error; `None` if the entry is valid."""
    if not each.field:
        return "field", "no field; expected the path of a field, such as training_config.batch_size_per_gpu"
    found = field_at(each.field)
    if isinstance(found, str):
        return "field", found
    if each.field in SECRETS or _NOT_SEARCHED.match(each.field):
        return "field", "cannot be searched, because it does not describe the detector or its training"
    if found.message_type is not None:
        return "field", "is a whole block; expected one of its fields after a dot"
    return _fault_of_values(each) if each.value else _fault_of_interval(each, found, spec)


def _fault_of_values(each: Any) -> tuple[str, str] | None:
    for name in ("low", "high", "step", "log", "factor"):
        if each.HasField(name):
            return name, f"found both {name} and value; expected either values, or low and high"
    if len(set(each.value)) < len(each.value):
        return "value", "the same value twice; expected different values"
    return None


def _fault_of_interval(each: Any, found: Any, spec: TunedSpec) -> tuple[str, str] | None:
    for name in ("low", "high"):
        if not each.HasField(name):
            return "field", f"{name} is not set; expected low and high, or values to choose from"
        if not math.isfinite(getattr(each, name)):
            return name, f"found {getattr(each, name):g}; expected a finite number"
    if not is_number(found):
        return "low", "is not a number; expected values to choose from: value: ..."
    low, high = shortest_float(each.low), shortest_float(each.high)
    if low >= high:
        return "low", f"found low {low:g} and high {high:g}; expected low < high"
    if each.log and low <= 0:
        return "log", f"found low {low:g}; expected low > 0 with log"
    return _fault_of_step(each, low, high) or _fault_of_factor(each, found, low, spec)


def _fault_of_step(each: Any, low: float, high: float) -> tuple[str, str] | None:
    if not each.HasField("step"):
        return None
    if each.log:
        return "step", "found both step and log; expected one of them"
    step = shortest_float(each.step)
    if not 0 < each.step <= high - low:
        return "step", f"found {step:g}; expected a step in (0, {high - low:g}]"
    if (high - low) / each.step > _MAX_STEPS:
        least = (high - low) / _MAX_STEPS
        return "step", f"found {step:g}, too fine; expected {least:g} or more, or no step"
    return None


def _fault_of_factor(each: Any, found: Any, low: float, spec: TunedSpec) -> tuple[str, str] | None:
    whole = found.type == Kind.TYPE_UINT32
    if not each.factor:
        if found.is_repeated:
            return "low", 'is a list; expected factor: true, or values such as value: "16, 32, 64"'
        if whole and any(value % 1 for value in (low, each.high, each.step)):
            return "low", f"found low {low:g} and high {each.high:g}; expected whole numbers"
        return None
    if low <= 0:
        return "low", f"found {low:g}; expected a factor above 0"
    if not any(spec.numbers(each.field)):
        return "factor", "has no value above 0 in the experiment spec that a factor could multiply"
    return None


def _searched(each: Any, spec: TunedSpec) -> Searched:
    found = field_at(each.field)
    if each.value:
        return Searched(each.field, tuple(each.value))
    return Searched(
        field=each.field,
        low=shortest_float(each.low),
        high=shortest_float(each.high),
        step=shortest_float(each.step) if each.HasField("step") else None,
        log=each.log,
        whole=found.type == Kind.TYPE_UINT32,
        base=spec.numbers(each.field) if each.factor else (),
        listed=found.is_repeated,
    )
