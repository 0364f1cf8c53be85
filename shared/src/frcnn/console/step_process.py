"""Runs a step's command in this process, which ends with the process that started it.

`python -m frcnn.console.step_process NAME [FILE]`: reads the command as JSON from standard input or FILE. On
a command line, every user of the machine could read it, and Linux limits an argument to 128 KiB, less than
some specs need. NAME is only for process lists.
"""

import json
import os
import runpy
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from frcnn.console.signals import end_with_parent

MODULE = "frcnn.console.step_process"
PYTHON = "python"


def encode(command: Sequence[str], parent: int) -> bytes:
    """Encodes a command for `main`.

    Args:
        command: Program and arguments. `python` stands for the interpreter that runs this module.
        parent: Id of the process to end with; 0 for none.

    Returns:
        JSON text.
    """
    return json.dumps({"command": list(command), "parent": parent}).encode()


def name_of(command: Sequence[str]) -> str:
    """Returns the name of a command for process lists: its module or its program.

    Args:
        command: Program and arguments.
    """
    words = list(command)
    return words[2] if words[:2] == [PYTHON, "-m"] and len(words) > 2 else words[0]


def main(arguments: Sequence[str]) -> None:
    """Reads a command and runs it in this process.

    Args:
        arguments: NAME and optional FILE, see above.
    """
    if len(arguments) > 1:
        given = json.loads(Path(arguments[1]).read_bytes())
    else:
        given = json.loads(sys.stdin.buffer.read())
        os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    if given["parent"]:
        end_with_parent(given["parent"], signal.SIGTERM)
    _run(given["command"])


def _run(command: list[str]) -> None:
    program, *words = command
    if program != PYTHON:
        os.execvp(program, command)
    kind, *rest = words
    if kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        os.execv(sys.executable, [sys.executable, "-P", *words])


if __name__ == "__main__":
    main(sys.argv[1:])
