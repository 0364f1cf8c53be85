"""`frcnn completion`: prints a script for shell completion of tasks, flags and file names."""

import argparse
import importlib
import sys
from pathlib import Path

from frcnn.cli.task_runner import new_parser
from frcnn.cli.tasks import all_tasks

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
    import shtab

    whole = argparse.ArgumentParser(prog="frcnn")
    tasks = whole.add_subparsers()
    groups: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}
    known = all_tasks()
    for task in known.values():
        first, _, second = task.name.partition(" ")
        if second and first in known:
            continue  # shtab completes either the flags of the first word or further words
        try:
            parser = new_parser(task, importlib.import_module(task.module), "frcnn")
        except ModuleNotFoundError:  # needs an extra that is not installed
            continue
        if second and first not in groups:
            groups[first] = tasks.add_parser(first, help=task.help).add_subparsers()
        place = groups[first] if second else tasks
        own = place.add_parser(second or first, help=task.help, parents=[parser], add_help=False)
        for action in own._actions:
            if action.type is Path:
                folder = action.metavar in ("DIR", "FOLDER")
                action.complete = shtab.DIRECTORY if folder else shtab.FILE  # type: ignore[attr-defined]
    return whole
