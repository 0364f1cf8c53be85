"""The argument parser of all commands."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class CommandParser(argparse.ArgumentParser):
    """Parser whose path flags must not be empty, and which suggests flags for unknown ones.

    Its subparsers are of the same class.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """Takes the arguments of `argparse.ArgumentParser`."""
        super().__init__(*args, **options)
        self.register("type", Path, _path)

    def parse_args(  # type: ignore[override]  # only as the commands call it
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Parses flags; for unknown ones, the message suggests others."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            from frcnn.cli.flag_hints import flag_hints

            self.error(
                f"unrecognized arguments: {' '.join(unknown)}{flag_hints(self._chosen(parsed), unknown)}"
            )
        return parsed

    def _chosen(self, parsed: argparse.Namespace) -> argparse.ArgumentParser:
        """Returns the parser of the chosen subcommand; this one if there are no subcommands."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                chosen: argparse.ArgumentParser = action.choices.get(getattr(parsed, action.dest), self)
                return chosen
        return self


def _path(text: str) -> Path:
    """Returns the value of a path flag; an empty one, as of an unset shell variable, is an error."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; expected a path")
    return Path(text)
