"""The searched fields as Katib's parameters, and their values in the command of a trial."""

from collections.abc import Mapping, Sequence
from typing import Any

from frcnn.errors import UsageError
from frcnn.tuning.space import Searched, Space

# Katib puts values into a JSON text, and a shell reads them inside quotes.
_BREAKING = ("'", '"', "\\", "\n", "$")


def names_of(space: Space) -> dict[str, str]:
    """Returns a short name for each field: its last part, or with a number if several end alike.

    Args:
        space: Search space.

    Returns:
        Names by field.
    """
    names: dict[str, str] = {}
    for each in space.fields:
        short = "".join(
            letter if letter.isalnum() else "-" for letter in each.field.rpartition(".")[2]
        ).strip("-")
        name, count = short, 1
        while name in names.values():
            count += 1
            name = f"{short}-{count}"
        names[each.field] = name
    return names


def parameters_of(space: Space) -> list[dict[str, Any]]:
    """Returns `spec.parameters` of the Experiment.

    Args:
        space: Search space.

    Returns:
        Parameters as JSON.

    Raises:
        UsageError: A value contains characters that do not survive Katib's templates.
    """
    names = names_of(space)
    return [_parameter(names[each.field], each) for each in space.fields]


def choices_of(assignments: Sequence[Mapping[str, str]], space: Space) -> list[str]:
    """Returns the choices of Katib in a trial as `FIELD=CHOICE`.

    Args:
        assignments: `parameterAssignments` of a trial.
        space: Search space.

    Returns:
        Choices of all fields.

    Raises:
        UsageError: An assignment belongs to another search.
    """
    fields = {name: field for field, name in names_of(space).items()}
    unknown = [each["name"] for each in assignments if each["name"] not in fields]
    if unknown or len(assignments) != len(fields):
        raise UsageError(
            f"the Experiment has parameters {', '.join(each['name'] for each in assignments)}, but the "
            f"search has {', '.join(fields)}; it is another search"
        )
    return [f"{fields[each['name']]}={each['value']}" for each in assignments]


def _parameter(name: str, each: Searched) -> dict[str, Any]:
    if each.values:
        for value in each.values:
            if any(mark in value for mark in _BREAKING):
                raise UsageError(
                    f"{each.field}: the value {value} contains one of ' \" \\ $ or a line break, which "
                    "Katib's templates do not keep. Write it without them; text needs no quotes."
                )
        return {"name": name, "parameterType": "categorical", "feasibleSpace": {"list": list(each.values)}}
    feasible = {"min": _text(each.low, each), "max": _text(each.high, each)}
    if each.step:
        feasible["step"] = _text(each.step, each)
    feasible["distribution"] = "logUniform" if each.log else "uniform"
    kind = "int" if each.whole and not each.base else "double"
    return {"name": name, "parameterType": kind, "feasibleSpace": feasible}


def _text(value: float, each: Searched) -> str:
    return str(int(value)) if each.whole and not each.base else f"{value:.9g}"
