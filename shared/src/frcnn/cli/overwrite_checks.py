"""Refuses output files that are also input files, before anything is written."""

import argparse
from pathlib import Path

from frcnn.errors import UsageError
from frcnn.files import is_same_file

# Attributes of parsed flags, by use of the file. `engine` also reads `cal_cache_file`.
_READ = ("experiment_spec", "dataset_export_spec", "model", "compare", "against", "file")
_WRITTEN = ("log_file", "output_file", "engine_file", "timing_cache", "cal_cache_file", "cal_json_file")
# Tasks that may overwrite their input and check --force themselves.
_ASKS_ITSELF = {("prune", "model", "output_file")}


def refuse_overwriting(task: str, args: argparse.Namespace) -> None:
    """Checks that a task does not overwrite a file that it reads.

    Args:
        task: Name of the task.
        args: Parsed flags.

    Raises:
        UsageError: Two flags name the same file.
    """
    for written in _WRITTEN:
        for read in _READ:
            if (task, read, written) not in _ASKS_ITSELF:
                _refuse(_path(args, read), _path(args, written), read, written)


def _path(args: argparse.Namespace, name: str) -> Path | None:
    found = getattr(args, name, None)
    return found if isinstance(found, Path) else None


def _refuse(source: Path | None, target: Path | None, read: str, written: str) -> None:
    if source is None or target is None:
        return
    if is_same_file(source, target):
        raise UsageError(
            f"--{written} {target} is also given by --{read} and would be overwritten. Choose another file"
        )
