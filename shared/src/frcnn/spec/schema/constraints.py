"""Constraints of spec fields beyond their type: ranges, choices, and whether 0 means unset.

Constraints are part of the annotations of the config classes, for example `Annotated[int, Range(">= 1")]`.
Messages and `docs/spec.md` show their `text`.
"""

import dataclasses
import difflib
import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol, runtime_checkable

_INTERVAL = re.compile(r"(?P<left>[\[(])(?P<low>[\d.]+), (?P<high>[\d.]+)(?P<right>[\])])")
_AT_LEAST = re.compile(r"(?P<left>>=?) (?P<low>[\d.]+)")


@runtime_checkable
class Constraint(Protocol):
    """Condition that a value must meet."""

    @property
    def text(self) -> str:
        """Short description of the allowed values."""

    def fault(self, value: object) -> str | None:
        """Checks a value.

        Args:
            value: Value of the field.

        Returns:
            Message with the value found and the values expected; `None` if the value is allowed.
        """


@dataclasses.dataclass(frozen=True)
class Range:
    """Finite number in an interval.

    Attributes:
        text: Interval: `(0, 1]`, `> 0` or `>= 1`.
        unit: Unit to show in messages; empty for none.
    """

    text: str
    unit: str = ""

    def fault(self, value: object) -> str | None:
        """Checks a value; see `Constraint`. Ignores values that are not numbers."""
        if not isinstance(value, int | float):
            return None
        if math.isfinite(value) and self._holds(value):
            return None
        unit = f" {self.unit}" if self.unit else ""
        where = "in " if self.text[0] in "[(" else ""
        return f"found {value:g}; expected a number {where}{self.text}{unit}"

    def _holds(self, value: float) -> bool:
        interval = _INTERVAL.fullmatch(self.text)
        if interval is None:
            bound = _AT_LEAST.fullmatch(self.text)
            if bound is None:
                raise ValueError(f"not an interval: {self.text}")
            low = float(bound["low"])
            return value >= low if bound["left"] == ">=" else value > low
        low, high = float(interval["low"]), float(interval["high"])
        above = value >= low if interval["left"] == "[" else value > low
        below = value <= high if interval["right"] == "]" else value < high
        return above and below


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of a fixed set of values.

    Attributes:
        values: Allowed values.
        any_case: Whether strings are compared in lower case.
    """

    values: tuple[str | int, ...]
    any_case: bool = False

    @property
    def text(self) -> str:
        """Short description of the allowed values."""
        if len(self.values) == 1:
            return f"only {self.values[0]}"
        return f"one of {', '.join(map(str, self.values))}" + (", in any case" if self.any_case else "")

    def fault(self, value: object) -> str | None:
        """Checks a value; see `Constraint`."""
        seen = value.lower() if self.any_case and isinstance(value, str) else value
        if seen in self.values:
            return None
        return f"found {quoted(value)}; expected {self.text}{did_you_mean(str(value), map(str, self.values))}"


@dataclasses.dataclass(frozen=True)
class NotEmpty:
    """A list or map with at least one entry."""

    text: str = "at least one"

    def fault(self, value: object) -> str | None:
        """Checks a value; see `Constraint`."""
        return None if not isinstance(value, Collection) or value else f"empty; expected {self.text} entry"


@dataclasses.dataclass(frozen=True)
class Keys:
    """Map with required keys. Other keys are allowed.

    Attributes:
        keys: Required keys.
    """

    keys: tuple[str, ...]

    @property
    def text(self) -> str:
        """Short description of the required keys."""
        return f"keys {', '.join(self.keys)}"

    def fault(self, value: object) -> str | None:
        """Checks a value; see `Constraint`. Ignores values that are not maps."""
        if not isinstance(value, Mapping):
            return None
        missing = [key for key in self.keys if key not in value]
        if not missing:
            return None
        found = ", ".join(sorted(value)) or "none"
        return f"{self.text} are required; missing: {', '.join(missing)} (found: {found})"


@dataclasses.dataclass(frozen=True)
class ZeroIsNotSet:
    """Marker of fields where 0 or empty text selects the default, as in specs without field presence."""


def quoted(value: object) -> str:
    """Formats a value as in a spec: strings in quotes.

    Args:
        value: Value of a field.

    Returns:
        Text for messages.
    """
    return f'"{value}"' if isinstance(value, str) else str(value)


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """Suggests the known name that is most similar to a given one.

    Args:
        found: Given name.
        known: Known names.

    Returns:
        Text `; did you mean 'x'?`; empty if no name is similar.
    """
    near = nearest(found, known)
    return f"; did you mean '{near}'?" if near is not None else ""


def nearest(found: str, known: Iterable[str]) -> str | None:
    """Finds the known name that is most similar to a given one, ignoring case.

    Args:
        found: Given name.
        known: Known names.

    Returns:
        Known name; `None` if no name is similar.
    """
    by_lower = {name.lower(): name for name in known}
    matches = difflib.get_close_matches(found.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None
