"""What can go wrong through no fault of this program, and the exit code each kind ends a command with.

A message names the place, the value found, what was expected and what to do next.
"""

import dataclasses
from collections.abc import Iterable


class FrcnnError(Exception):
    """A failure with a message for people; ends a command with `exit_code` and no stack trace."""

    exit_code = 1


class UsageError(FrcnnError, ValueError):
    """A command line or an argument that cannot be right (exit code 2).

    Attributes:
        argument: Name of the Python argument at fault, the same as the long flag's; empty if it is not one.
    """

    exit_code = 2

    def __init__(self, message: str = "", *, argument: str = "") -> None:
        """`argument` is the name of the argument at fault, if it is a single one."""
        super().__init__(message)
        self.argument = argument


class DataError(FrcnnError):
    """Labels, images or records that cannot be used (exit code 1)."""


class ModelError(FrcnnError):
    """A model file that is missing, broken, of another architecture or of other classes (exit code 1)."""


class NotFiniteError(ModelError):
    """A model whose weights are NaN or infinite: nothing can be trained on from it (exit code 1)."""


class RunError(FrcnnError):
    """A run that cannot go on: loss that is not finite, a full disk, a lost peer (exit code 1)."""


class MissingPackageError(RunError, ImportError):
    """A package that is not installed (exit code 1).

    Attributes:
        package: The package that was needed.
        extra: The extra of this distribution that brings it.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        """`purpose` says what needs the package: "running exported models"."""
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed: pip install 'frcnn[{extra}]'"
        )
        self.package = package
        self.extra = extra


class StoreError(FrcnnError):
    """A store, bucket or object that is missing, refused, damaged or out of reach (exit code 1)."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """One fault in a spec: where it stands, and what is wrong there.

    `path` is the field's path, such as `training_config.rpn_mini_batch`. `line` and `column` count
    from 1; None where the fault is that something is missing.
    """

    path: str
    message: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        """`12:3  training_config.rpn_mini_btch: unknown field`, without the place if there is none."""
        place = f"{self.line}:{self.column}  " if self.line is not None else ""
        return f"{place}{self.path}: {self.message}" if self.path else f"{place}{self.message}"


class SpecError(UsageError):
    """A spec with one or more faults, all of them named (exit code 2)."""

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        """`source` is the file's name as the user gave it."""
        self.source = source
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__("\n  ".join([f"{source}: {count}", *map(str, self.problems)]))
