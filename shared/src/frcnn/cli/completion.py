"""`frcnn completion`: prints a script for shell completion of tasks, flags and file names."""

import argparse
import importlib
import sys
from pathlib import Path
from typing import TypeAlias

from frcnn.cli.task_runner import new_parser
from frcnn.cli.tasks import all_tasks

_Words: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

HELP = "Print a script for shell completion of tasks, flags and file names."
EXAMPLES = """\
  eval "$(frcnn completion bash)"                            in ~/.bashrc
  frcnn completion zsh > ~/.zsh/completions/_frcnn           in a folder of zsh's fpath
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="shell to print the script for")


def run(args: argparse.Namespace) -> None:
    """Prints the script."""
    import shtab

    sys.stdout.write(f"{shtab.complete(_all_tasks_in_one(), shell=args.shell)}\n")


def _all_tasks_in_one() -> argparse.ArgumentParser:
    """Returns one parser with a subparser for each word of each task, `help` and `version`."""
    whole = argparse.ArgumentParser(prog="frcnn")
    tasks: _Words = whole.add_subparsers()
    groups: dict[str, _Words] = {}
    for task in all_tasks().values():
        try:
            parser = new_parser(task, importlib.import_module(task.module), "frcnn")
        except ModuleNotFoundError:  # needs an extra that is not installed
            continue
        first, _, second = task.name.partition(" ")
        action = None if second else _action(parser)
        if (second or action) and first not in groups:
            groups[first] = tasks.add_parser(first, help=task.help).add_subparsers()
        if action is None:
            _add(groups[first] if second else tasks, second or first, task.help, parser)
            continue
        parser._positionals._remove_action(action)
        for choice in action.choices or ():
            _add(groups[first], str(choice), task.help, parser)
    asked = tasks.add_parser("help", help="show the help of a task")
    asked.add_argument("task", choices=[name for name in tasks.choices if name != "help"])
    tasks.add_parser("version", help="print the version")
    return whole


def _action(parser: argparse.ArgumentParser) -> argparse.Action | None:
    """Returns the positional `action` of a task such as `spec check`.

    Its values become subparsers, because shtab completes either choices or further words, and `spec new` is
    a task next to `spec check`.
    """
    return next((each for each in parser._actions if each.dest == "action" and each.choices), None)


def _add(words: _Words, word: str, text: str, parser: argparse.ArgumentParser) -> None:
    added = words.add_parser(word, help=text, parents=[parser], add_help=False)
    _complete_paths(added)


def _complete_paths(parser: argparse.ArgumentParser) -> None:
    """Completes file and folder names where a parser, or one of its subparsers, takes a path."""
    import shtab

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                _complete_paths(each)
        elif action.type is Path:
            folder = action.metavar in ("DIR", "FOLDER")
            action.complete = shtab.DIRECTORY if folder else shtab.FILE  # type: ignore[attr-defined]
