"""Turns exceptions into messages and exit codes."""

import logging
import os
import re
import signal
import sys
from pathlib import Path

from frcnn.console.signals import Terminated
from frcnn.errors import FrcnnError, UsageError
from frcnn.files import is_disk_full
from frcnn.packages import EXTRAS, extras_for

log = logging.getLogger(__name__)

INTERRUPTED = 130  # 128 + SIGINT
SIGNALED = 128  # and the number of the signal: 143 for SIGTERM, 129 for SIGHUP

_STREAM_FAILED = re.compile(r"\[could not read records from S3:\] \[(.*?)\](?:\s|$)", re.DOTALL)


def report(error: BaseException, *, verbose: bool) -> int:
    """Logs an error.

    A stack trace is shown only if `verbose`, or if the error is a bug of this program.

    Args:
        error: Error that ended the command.
        verbose: Whether to show a stack trace.

    Returns:
        Exit code.
    """
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, BrokenPipeError):
        # The reader of our output has closed the pipe. Keep Python from reporting that at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    error = _interrupt_behind(error)
    trace = error if verbose and not isinstance(error, KeyboardInterrupt) else None
    if _is_expected(error):
        log.error("%s", message(error), exc_info=trace)
    else:
        log.critical("%s", message(error), exc_info=error)
    return exit_code(error)


def exit_code(error: BaseException) -> int:
    """Returns the exit code: 2 for wrong usage, 1 for a failed run, 130 for Ctrl-C, 143 for SIGTERM."""
    error = _interrupt_behind(error)
    if isinstance(error, Terminated):
        return SIGNALED + error.number
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return error.exit_code if isinstance(error, FrcnnError) else 1


def message(error: BaseException) -> str:
    """Returns one message for people: what happened and what to do."""
    error = _interrupt_behind(error)
    if isinstance(error, Terminated):
        name = signal.Signals(error.number).name
        return f"terminated ({name}); files already finished are kept, nothing is half-written"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; files already finished are kept, nothing is half-written"
    if isinstance(error, UsageError) and error.argument and str(error).startswith(error.argument):
        # An argument is called like its flag; there may be a line for each of several.
        return "\n".join(f"--{line}" for line in str(error).split("\n"))
    if isinstance(error, FrcnnError):
        return str(error)
    return _environment_message(error) or (
        f"unexpected {type(error).__name__}: {error}. This is a bug in frcnn: "
        "please report it with the lines below."
    )


def _interrupt_behind(error: BaseException) -> BaseException:
    """Returns the interrupt that an error of another library's cleanup replaced, or else the error."""
    if isinstance(error, FrcnnError):
        return error
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    return cause or error


def _is_expected(error: BaseException) -> bool:
    known = isinstance(error, FrcnnError | KeyboardInterrupt)
    return known or _environment_message(error) is not None


def _environment_message(error: BaseException) -> str | None:
    """Returns the message for a problem of the machine rather than of the program, or None."""
    if is_disk_full(error):
        where = f" while writing {_file_name(error)}" if _file_name(error) else ""
        return f"disk full{where}; make room and run again"
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in EXTRAS:
        name = (error.name or "").split(".")[0]
        return f"{name} is not installed; it comes with: pip install 'frcnn[{extras_for([name])}]'"
    if isinstance(error, FileNotFoundError) and (text := _folder_message(error)):
        return text
    if isinstance(error, FileExistsError) and not Path(_file_name(error) or ".").is_dir():
        return f"{_file_name(error)}: a file or a broken link has the name of a folder; remove it"
    if isinstance(error, OSError) and _file_name(error):
        return f"{_file_name(error)}: {error.strerror}"
    # Raised by tf.data when frcnn.data.records.prefetch fails; TensorFlow adds text around the cause.
    if type(error).__name__ == "InvalidArgumentError" and (found := _STREAM_FAILED.search(str(error))):
        return found[1]
    # TensorFlow's error for a full GPU is compared by name: importing TensorFlow would take seconds.
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return (
            "out of memory; lower batch_size_per_gpu (batch_size in evaluation_config or inference_config), "
            "then the input size, roi_mini_batch and rpn_pre_nms_top_N, or take a smaller arch; training "
            "needs less with use_amp, too"
        )
    return None


def _folder_message(error: FileNotFoundError) -> str | None:
    """Returns the message for a missing working folder or folder for temporary files, or None."""
    try:
        Path.cwd()
    except FileNotFoundError:
        if Path(_file_name(error)).is_absolute():
            return None
        return "the working folder no longer exists; change to another one and run again"
    # Of `tempfile.gettempdir`, which lists the folders that it has tried.
    if "temporary directory" in str(error):
        return f"{error.strerror}; free some space there, or set TMPDIR to a folder that can be written to"
    return None


def _file_name(error: BaseException) -> str:
    name = getattr(error, "filename", None)
    return os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
