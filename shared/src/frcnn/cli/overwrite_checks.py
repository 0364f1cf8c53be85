"""Refuses output files that are also input files, before anything is written."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from frcnn.errors import UsageError
from frcnn.files import is_same_file

# Attributes of parsed flags whose file is written. Any other path may be read.
_WRITTEN = (
    "log_file",
    "output",
    "output_file",
    "engine_file",
    "timing_cache",
    "cal_cache_file",
    "cal_json_file",
)
# Paths that flags keep as text, because they may be s3:// URIs, or `-`.
_AS_TEXT = ("output", "data", "source", "classes")
# Beginning of a line that `frcnn.console.logs` writes to a file, and where to look for one.
_LOG_LINE = re.compile(rb"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ", re.MULTILINE)
_LOOKED_AT_BYTES = 1 << 16
# Tasks that may overwrite their input and check --force themselves.
_ASKS_ITSELF = {("prune", "model", "output_file")}


def refuse_overwriting(task: str, args: argparse.Namespace) -> None:
    """Checks that a task does not overwrite a file that it reads.

    Args:
        task: Name of the task.
        args: Parsed flags.

    Raises:
        UsageError: Two flags name the same file, or the log would be appended to a file that is not a log.
    """
    for written in _WRITTEN:
        for target in _paths(args, written):
            for read in sorted(vars(args).keys() - set(_WRITTEN)):
                for source in _paths(args, read):
                    if (task, read, written) not in _ASKS_ITSELF:
                        _refuse(source, target, read, written)
    log_file = getattr(args, "log_file", None)
    if isinstance(log_file, Path):
        _refuse_other_than_log(log_file)


def _refuse_other_than_log(path: Path) -> None:
    """Refuses to append the log to a file such as a label or a spec; `*.log` may have any content."""
    if path.suffix.lower() == ".log" or not path.is_file():
        return
    try:
        with path.open("rb") as stream:
            content = stream.read(_LOOKED_AT_BYTES)
    except OSError:
        return  # reported when it is opened for writing
    if content and not _LOG_LINE.search(content):
        raise UsageError(f"--log_file {path}: this file exists and is not a log. Choose another file")


def _paths(args: argparse.Namespace, name: str) -> Iterator[Path]:
    """Yields the paths that a flag names."""
    found = getattr(args, name, None)
    for each in found if isinstance(found, list) else [found]:
        if isinstance(each, Path):
            yield each
        elif isinstance(each, str) and each and name in _AS_TEXT:
            yield Path(each)


def _refuse(source: Path, target: Path, read: str, written: str) -> None:
    if is_same_file(source, target) and source.is_file():
        raise UsageError(
            f"--{written} {target} is also given by --{read} and would be overwritten. Choose another file"
        )
