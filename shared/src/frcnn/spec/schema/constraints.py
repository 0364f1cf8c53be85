"""What the type of a spec field does not say: its range, its choices, when 0 counts as not set.

Constraints stand in the annotations of the config classes (`Annotated[int, Range(">= 1")]`).
`text` is how messages and `docs/spec.md` say them.
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
    """One thing that a value has to be."""

    @property
    def text(self) -> str:
        """What is allowed, in a few words."""

    def fault(self, value: object) -> str | None:
        """What is wrong with `value`, expectation included; None if nothing is."""


@dataclasses.dataclass(frozen=True)
class Range:
    """A finite number in an interval, written `(0, 1]`, `> 0` or `>= 1`; `unit` is said in messages."""

    text: str
    unit: str = ""

    def fault(self, value: object) -> str | None:
        """See `Constraint`."""
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
    """One of a few values; a text may be allowed in any case."""

    values: tuple[str | int, ...]
    any_case: bool = False

    @property
    def text(self) -> str:
        """See `Constraint`."""
        if len(self.values) == 1:
            return f"only {self.values[0]}"
        return f"one of {', '.join(map(str, self.values))}" + (", in any case" if self.any_case else "")

    def fault(self, value: object) -> str | None:
        """See `Constraint`."""
        seen = value.lower() if self.any_case and isinstance(value, str) else value
        if seen in self.values:
            return None
        return f"found {quoted(value)}; expected {self.text}{did_you_mean(str(value), map(str, self.values))}"


@dataclasses.dataclass(frozen=True)
class NotEmpty:
    """A list or map with at least one entry."""

    text: str = "at least one"

    def fault(self, value: object) -> str | None:
        """See `Constraint`."""
        return None if not isinstance(value, Collection) or value else f"empty; expected {self.text} entry"


@dataclasses.dataclass(frozen=True)
class Keys:
    """A map that has these keys; further ones do not matter."""

    keys: tuple[str, ...]

    @property
    def text(self) -> str:
        """See `Constraint`."""
        return f"keys {', '.join(self.keys)}"

    def fault(self, value: object) -> str | None:
        """See `Constraint`."""
        if not isinstance(value, Mapping):
            return None
        missing = [key for key in self.keys if key not in value]
        if not missing:
            return None
        found = ", ".join(sorted(value)) or "none"
        return f"{self.text} are required; missing: {', '.join(missing)} (found: {found})"


@dataclasses.dataclass(frozen=True)
class ZeroIsNotSet:
    """Marks a field whose 0 (or empty text) means its default, as it does in specs without presence."""


def quoted(value: object) -> str:
    """`value` as the spec would write it."""
    return f'"{value}"' if isinstance(value, str) else str(value)


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` with the nearest of `known`, or nothing if none is near."""
    near = nearest(found, known)
    return f"; did you mean '{near}'?" if near is not None else ""


def nearest(found: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `found`, whatever its case; None if none is."""
    by_lower = {name.lower(): name for name in known}
    matches = difflib.get_close_matches(found.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None
