"""Errors that are not bugs of this program, each with the exit code of the command.

Messages name the place, the value found, what was expected and what to do next.
"""

import dataclasses
from collections.abc import Iterable, Sequence


class FrcnnError(Exception):
    """Error with a message for people. Ends a command with `exit_code` and without a stack trace."""

    exit_code = 1


class UsageError(FrcnnError, ValueError):
    """Invalid command line or argument (exit code 2)."""

    exit_code = 2

    def __init__(self, message: str = "", *, argument: str = "") -> None:
        """`argument` is the name of the argument at fault, if it is a single one."""
        super().__init__(message)
        self.argument = argument


class DataError(FrcnnError):
    """Unusable labels, images or records (exit code 1)."""


class ModelError(FrcnnError):
    """Model file that is missing, damaged, or of another architecture or other classes (exit code 1)."""


class NotFiniteError(ModelError):
    """Model with NaN or infinite weights, from which no training can start (exit code 1)."""


class RunError(FrcnnError):
    """Run that cannot continue: loss not finite, full disk, lost process (exit code 1)."""


class MissingPackageError(RunError, ImportError):
    """Package that is not installed (exit code 1).

    Attributes:
        package: Name of the package.
        extra: Extras of this distribution that install it, comma-separated.
    """

    def __init__(self, package: str, extra: str, purpose: str, others: Sequence[str] = ()) -> None:
        """Creates the error.

        Args:
            package: Name of the package.
            extra: Extras that install it, comma-separated.
            purpose: Activity that needs the package, such as "running exported models".
            others: Other missing packages that will be needed.
        """
        needed = f"the package {package}, which is"
        if others:
            needed = f"the packages {', '.join([package, *others[:-1]])} and {others[-1]}, which are"
        super().__init__(f"{purpose} needs {needed} not installed: pip install 'frcnn[{extra}]'")
        self.package = package
        self.extra = extra


class StoreError(FrcnnError):
    """Store, bucket or object that is missing, refused, damaged or unreachable (exit code 1)."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """One error in a spec.

    Attributes:
        path: Path of the field, such as `training_config.rpn_mini_batch`.
        message: What is wrong.
        line: Line, from 1; `None` if something is missing.
        column: Column, from 1; `None` if something is missing.
    """

    path: str
    message: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        """Formats `12:3  training_config.rpn_mini_btch: unknown field`; the position is optional."""
        place = f"{self.line}:{self.column}  " if self.line is not None else ""
        return f"{place}{self.path}: {self.message}" if self.path else f"{place}{self.message}"


class SpecError(UsageError):
    """Spec with one or more errors, all of them listed (exit code 2)."""

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        """Creates the error.

        Args:
            source: Name of the file as given by the user.
            problems: Errors in the spec.
        """
        self.source = source
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__("\n  ".join([f"{source}: {count}", *map(str, self.problems)]))
