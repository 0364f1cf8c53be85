"""Outputs that are inputs: refused before anything is written."""

import argparse
from pathlib import Path

from frcnn.errors import UsageError
from frcnn.files import is_same_file

# Attributes of parsed flags, by what a task does with the file. A cache of scales is read by `engine`.
_READ = ("experiment_spec", "dataset_export_spec", "model", "compare", "against", "file")
_WRITTEN = ("log_file", "output_file", "engine_file", "timing_cache", "cal_cache_file", "cal_json_file")
# Tasks that may replace what they read, and ask for --force themselves.
_ASKS_ITSELF = {("prune", "model", "output_file")}


def refuse_overwriting(task: str, args: argparse.Namespace) -> None:
    """Checks that no file which a task would write is one that it reads.

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
            f"--{written} {target} is the file that --{read} names; it would be lost. Name another file"
        )
