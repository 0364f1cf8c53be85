"""Log output: short lines on standard error, full lines in a file.

Standard output is reserved for results (tables, paths), so that commands can be piped.
"""

import contextlib
import errno
import logging
import os
import sys
from pathlib import Path
from typing import TextIO

from frcnn.console.foreign_text import printable_lines
from frcnn.errors import UsageError

CONSOLE_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
CONSOLE_FORMAT_VERBOSE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
FILE_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _SafeFormatter(logging.Formatter):
    """Escapes terminal control sequences, because messages quote names from data and specs."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))


class _StandardErrorHandler(logging.StreamHandler):  # type: ignore[type-arg]  # not generic at run time
    """Writes to the current `sys.stderr`, which a live progress bar may replace."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # the base class keeps one stream for good
        return sys.stderr


class _LogFileHandler(logging.FileHandler):
    """Writes to the file of --log_file; reports the first failure and continues."""

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # name of the base class
        if not self._failed:
            self._failed = True
            reason = getattr(sys.exc_info()[1], "strerror", None) or sys.exc_info()[1]
            with contextlib.suppress(OSError):
                sys.stderr.write(f"warning: cannot write the log file {self.baseFilename} ({reason})\n")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # data that could not be written before is dropped
            super().close()


def setup_logging(verbose: bool, log_file: Path | None) -> None:
    """Configures logging of this process. May be called again; the last call counts.

    Args:
        verbose: Whether to show debug lines with logger names on standard error.
        log_file: File to append to; its folder is created.

    Raises:
        UsageError: `log_file` cannot be written.
    """
    console = _StandardErrorHandler()
    console.setLevel(logging.DEBUG if verbose else logging.INFO)
    line = CONSOLE_FORMAT_VERBOSE if verbose else CONSOLE_FORMAT
    console.setFormatter(_SafeFormatter(line, datefmt="%H:%M:%S"))
    handlers: list[logging.Handler] = [console]
    if log_file is not None:
        handlers.append(_file_handler(log_file))
    root = logging.getLogger()
    for handler in [each for each in root.handlers if getattr(each, "of_frcnn", False)]:
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        handler.of_frcnn = True  # type: ignore[attr-defined]  # how the next call knows its own
        root.addHandler(handler)
    root.setLevel(logging.WARNING)  # other packages log problems only
    logging.getLogger("frcnn").setLevel(logging.DEBUG if verbose or log_file else logging.INFO)


def _file_handler(log_file: Path) -> logging.Handler:
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        _refuse_pipe_without_reader(log_file)
        handler = _LogFileHandler(log_file, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write the log file {log_file}: {error.strerror}") from error
    handler.setFormatter(_SafeFormatter(FILE_FORMAT))
    return handler


def _refuse_pipe_without_reader(path: Path) -> None:
    """Raises OSError for a named pipe without a reader: opening it would block forever."""
    if not path.is_fifo():
        return
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(error.errno, "a named pipe without a reader") from error
        raise
