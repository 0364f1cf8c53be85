"""Trains in a child process, which confines TensorFlow's settings and GPU memory to the training.

The child reads the request from its standard input and responds through a pipe with one JSON message per
line: log records, progress, epochs, and the result or the error. After each epoch it waits for a line that
tells it whether to continue.
"""

import contextlib
import dataclasses
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from frcnn import errors
from frcnn.api.training import Epoch, OnEpoch, TrainingRequest, TrainResult
from frcnn.errors import FrcnnError, MissingPackageError, Problem, RunError, SpecError, UsageError
from frcnn.progress import Progress

CONTINUE, STOP = "continue", "stop"
_MODULE = "frcnn.api.train_child"
_PATIENCE = 60.0  # seconds that a child may take to exit after it was told to
_LAST_LINES = 20  # lines of a dead child's output to show

Message = dict[str, Any]
# Called with the name of a logger, a level and a text.
OnLog = Callable[[str, int, str], None]


def train_in_child(
    request: TrainingRequest,
    on_epoch: OnEpoch | None,
    on_progress: Callable[[Progress], None] | None,
    *,
    on_log: OnLog | None = None,
    environment: Mapping[str, str] | None = None,
) -> TrainResult:
    """Trains in a child process.

    Args:
        request: Training with all arguments resolved.
        on_epoch: Called after each epoch; returning False ends the training.
        on_progress: Called with the progress.
        on_log: Called with logger, level and text of each log record, which is logged here otherwise.
        environment: Environment variables of the child that are added to or replace those of this process.

    Returns:
        Result of the training.

    Raises:
        FrcnnError: The training failed, as in `frcnn.train`.
    """
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as messages, tempfile.TemporaryFile("w+b") as output:
        try:
            child = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(writing), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=(writing,),
                env={**child_environment(), **(environment or {})},
                text=True,
                encoding="utf-8",
            )
        finally:
            os.close(writing)
        with _ended(child):
            level = logging.getLogger("frcnn").getEffectiveLevel()
            if on_log:  # keeps what is logged by default, even where this process shows less
                level = min(level, logging.INFO)
            _send(child, json.dumps(request_message(request, level)))
            result = _follow(child, messages, on_epoch, on_progress, on_log or _log_here)
        if result is not None:
            return result
        raise _death(child.returncode, output)


def request_message(request: TrainingRequest, level: int) -> Message:
    """Returns a request as a message to the child; the key is passed through the pipe only.

    Args:
        request: Training.
        level: Level from which the child sends log records.
    """
    fields = ("resume", "use_amp", "strict")
    return {
        "spec": request.spec.to_text(secrets=True),
        "source": request.spec.source,
        "results_dir": str(request.results_dir.absolute()),
        "key": str(request.key),
        "log_level": level,
        **{name: getattr(request, name) for name in fields},
    }


def error_message(error: FrcnnError) -> Message:
    """Returns an error as a message to the parent."""
    problems = [dataclasses.asdict(each) for each in error.problems] if isinstance(error, SpecError) else []
    return {
        "class": type(error).__name__,
        "text": str(error),
        "source": getattr(error, "source", ""),
        "problems": problems,
        "argument": getattr(error, "argument", ""),
    }


def child_environment() -> dict[str, str]:
    """Returns the child's environment, in which it finds the same modules as this process."""
    places = [place or str(Path.cwd()) for place in sys.path]
    return {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "PYTHONPATH": os.pathsep.join(places)}


def _follow(
    child: "subprocess.Popen[str]",
    messages: IO[str],
    on_epoch: OnEpoch | None,
    on_progress: Callable[[Progress], None] | None,
    on_log: OnLog,
) -> TrainResult | None:
    """Handles the child's messages until it exits; returns its result, or None."""
    result = None
    for line in messages:
        message: Message = json.loads(line)
        kind, value = message["kind"], message["value"]
        if kind == "log":
            on_log(value["name"], value["level"], value["text"])
        elif kind == "progress" and on_progress is not None:
            on_progress(Progress(**value))
        elif kind == "epoch":
            proceed = on_epoch is None or on_epoch(Epoch(**value)) is not False
            _send(child, CONTINUE if proceed else STOP)
        elif kind == "error":
            raise _error(value)
        elif kind == "result":
            result = _result(value)
    return result


def _log_here(name: str, level: int, text: str) -> None:
    logging.getLogger(name).log(level, "%s", text)


def _send(child: "subprocess.Popen[str]", line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # the child died; the end of its messages will show that
        if child.stdin is not None:
            child.stdin.write(f"{line}\n")
            child.stdin.flush()


@contextlib.contextmanager
def _ended(child: "subprocess.Popen[str]") -> Iterator[None]:
    """Waits for the child at the end of the block; terminates it first after an exception."""
    try:
        yield
    except BaseException:
        child.terminate()
        raise
    finally:
        with contextlib.suppress(BrokenPipeError):
            if child.stdin is not None:
                child.stdin.close()
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _result(value: Message) -> TrainResult:
    paths = {name: value[name] and Path(value[name]) for name in ("model", "last", "best")}
    history = tuple(Epoch(**each) for each in value["history"])
    return TrainResult(**{**value, **paths, "history": history})


def _error(value: Message) -> FrcnnError:
    """Returns the child's error as an exception of this process."""
    kind = getattr(errors, value["class"], RunError)
    if kind is SpecError:
        return SpecError(value["source"], [Problem(**each) for each in value["problems"]])
    if kind is UsageError:
        return UsageError(value["text"], argument=value["argument"])
    if kind is MissingPackageError:
        return RunError(value["text"])
    error: FrcnnError = kind(value["text"])
    return error


def _death(code: int, output: IO[bytes]) -> RunError:
    """Returns the error for a child that exited without a result."""
    if code == -9:
        return RunError(
            "the training process was killed (signal 9), most likely because memory ran out. Lower "
            "batch_size_per_gpu, then the input size, roi_mini_batch and rpn_pre_nms_top_N."
        )
    output.seek(0)
    lines = output.read().decode(errors="replace").splitlines()[-_LAST_LINES:]
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return RunError("\n  ".join([f"the training process ended unexpectedly ({how})", *lines]))
