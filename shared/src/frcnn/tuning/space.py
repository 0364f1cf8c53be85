"""Fields of a spec that a search varies, and the values that they may take."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from frcnn.errors import UsageError
from frcnn.spec.assignments import assignment, quoted_text

if TYPE_CHECKING:
    pass

# Chosen value of one field: a number, a factor, or one of the texts.
Chosen: TypeAlias = float | int | str

# More decimals than this change a training by less than its noise, and make specs hard to read.
SIGNIFICANT_DIGITS = 5


@dataclasses.dataclass(frozen=True)
class Searched:
    """One field of the spec and the values it may take.

    Attributes:
        field: Path of the field in the experiment spec.
        values: Values to choose from, as for `--set`; empty if there is an interval instead.
        low: Lowest value or factor.
        high: Highest value or factor.
        step: Distance between values; `None` for any value.
        log: Whether to search the logarithm.
        whole: Whether only whole numbers are valid.
        base: Values of the field in the experiment spec that the factor multiplies; empty without a factor.
        listed: Whether the field is a list.
    """

    field: str
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    whole: bool = False
    base: tuple[float, ...] = ()
    listed: bool = False

    def setting(self, chosen: Chosen) -> str:
        """Returns the setting of the field as for `--set`.

        Args:
            chosen: One of the values, a number of the interval, or a factor.

        Returns:
            Text `FIELD=VALUE`.
        """
        if isinstance(chosen, str):
            return f"{self.field}={chosen}"
        numbers = [self._number(each * chosen) for each in self.base] or [self._number(chosen)]
        if self.listed:
            return f"{self.field}=[{', '.join(map(str, numbers))}]"
        return assignment(self.field, numbers[0])

    def to_text(self) -> str:
        """Writes the field as in a file of a search space."""
        parts = [f"field: {quoted_text(self.field)}"]
        if self.values:
            return " ".join([*parts, *(f"value: {quoted_text(each)}" for each in self.values)])
        parts += [f"low: {self.low!r}", f"high: {self.high!r}"]
        parts += [f"step: {self.step!r}"] if self.step else []
        parts += ["log: true"] if self.log else []
        parts += ["factor: true"] if self.base else []
        return " ".join(parts)

    def choice(self, text: str) -> Chosen:
        """Parses a choice made by another program.

        Args:
            text: One of the values, a number or a factor.

        Returns:
            The choice.

        Raises:
            UsageError: It is not one of the values, or is outside the interval.
        """
        if self.values:
            if text not in self.values:
                raise UsageError(f"{self.field}={text}: expected one of {', '.join(self.values)}")
            return text
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        # Tolerates values slightly outside the interval because of rounding.
        slack = 1e-6 * max(abs(self.low), abs(self.high))
        if not self.low - slack <= number <= self.high + slack:
            raise UsageError(f"{self.field}={text}: expected a number from {self.low:g} to {self.high:g}")
        return round(number) if self.whole and not self.base else number

    def _number(self, value: float) -> float | int:
        if self.whole:
            # A factor must not reduce a count to 0.
            return max(1, round(value)) if self.base else round(value)
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


@dataclasses.dataclass(frozen=True)
class Space:
    """All fields that a search varies.

    Attributes:
        fields: The fields.
        source: Name of the file; empty for the default space.
    """

    fields: tuple[Searched, ...]
    source: str = ""

    def to_text(self) -> str:
        """Writes the space as protobuf text, which `parse_space` reads back as an equal space."""
        return "".join(f"search {{ {each.to_text()} }}\n" for each in self.fields)

    def choices(self, texts: Sequence[str]) -> dict[str, Chosen]:
        """Parses choices in this space made by another program.

        Args:
            texts: Texts `FIELD=CHOICE`; a choice is one of the values, a number or a factor.

        Returns:
            Choices by field.

        Raises:
            UsageError: A field is not searched, or the choice is not among its values or in its interval.
        """
        found: dict[str, Chosen] = {}
        known = {each.field: each for each in self.fields}
        for text in texts:
            field, _, choice = text.partition("=")
            if field not in known:
                raise UsageError(f"choice {text}: {field} is not in the search space")
            found[field] = known[field].choice(choice)
        return found

    def settings(self, chosen: Mapping[str, Chosen]) -> list[str]:
        """Returns the settings of a trial as for `--set`.

        Args:
            chosen: Chosen values by field.

        Returns:
            Texts `FIELD=VALUE`.
        """
        return [each.setting(chosen[each.field]) for each in self.fields if each.field in chosen]
