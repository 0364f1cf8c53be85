"""A training in a child process: TensorFlow's settings and the GPU's memory go with it.

The child gets the request by its standard input and answers by a pipe, one JSON message a line: log
records, progress, epochs, and the result or the error. After each epoch it waits for a line that says whether
to go on.
"""

import contextlib
import dataclasses
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from frcnn import errors
from frcnn.api.training import Epoch, OnEpoch, TrainingRequest, TrainResult
from frcnn.errors import FrcnnError, MissingPackageError, Problem, RunError, SpecError, UsageError
from frcnn.progress import Progress

GO_ON, STOP = "go on", "stop"
_MODULE = "frcnn.api.train_child"
_PATIENCE = 60.0  # seconds that a child may take to end after it was told to
_LAST_LINES = 20  # of what a child wrote before it died

Message = dict[str, Any]


def train_in_child(
    request: TrainingRequest,
    on_epoch: OnEpoch | None,
    on_progress: Callable[[Progress], None] | None,
) -> TrainResult:
    """Trains in a child process; errors as `frcnn.train`."""
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as messages, tempfile.TemporaryFile("w+b") as output:
        try:
            child = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(writing)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=(writing,),
                env=_environment(),
                text=True,
                encoding="utf-8",
            )
        finally:
            os.close(writing)
        with _ended(child):
            result = _follow(child, messages, request, on_epoch, on_progress)
        if result is not None:
            return result
        raise _death(child.returncode, output)


def request_message(request: TrainingRequest) -> Message:
    """Returns a request as the child reads it; the key travels by the pipe only."""
    fields = ("resume", "use_amp", "strict")
    return {
        "spec": request.spec.to_text(secrets=True),
        "source": request.spec.source,
        "results_dir": str(request.results_dir.absolute()),
        "key": str(request.key),
        "log_level": logging.getLogger("frcnn").getEffectiveLevel(),
        **{name: getattr(request, name) for name in fields},
    }


def error_message(error: FrcnnError) -> Message:
    """Returns an error as the parent reads it."""
    problems = [dataclasses.asdict(each) for each in error.problems] if isinstance(error, SpecError) else []
    return {
        "class": type(error).__name__,
        "text": str(error),
        "source": getattr(error, "source", ""),
        "problems": problems,
        "argument": getattr(error, "argument", ""),
    }


def _environment() -> dict[str, str]:
    """The child finds the modules that this process finds."""
    places = [place or str(Path.cwd()) for place in sys.path]
    return {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "PYTHONPATH": os.pathsep.join(places)}


def _follow(
    child: "subprocess.Popen[str]",
    messages: IO[str],
    request: TrainingRequest,
    on_epoch: OnEpoch | None,
    on_progress: Callable[[Progress], None] | None,
) -> TrainResult | None:
    """Answers the child's messages until it ends; returns its result if it had one."""
    _tell(child, json.dumps(request_message(request)))
    result = None
    for line in messages:
        message: Message = json.loads(line)
        kind, value = message["kind"], message["value"]
        if kind == "log":
            logging.getLogger(value["name"]).log(value["level"], "%s", value["text"])
        elif kind == "progress" and on_progress is not None:
            on_progress(Progress(**value))
        elif kind == "epoch":
            go_on = on_epoch is None or on_epoch(Epoch(**value)) is not False
            _tell(child, GO_ON if go_on else STOP)
        elif kind == "error":
            raise _error(value)
        elif kind == "result":
            result = _result(value)
    return result


def _tell(child: "subprocess.Popen[str]", line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # it has died, which the end of its messages will show
        if child.stdin is not None:
            child.stdin.write(f"{line}\n")
            child.stdin.flush()


@contextlib.contextmanager
def _ended(child: "subprocess.Popen[str]") -> Iterator[None]:
    """Waits for the child at the end of the block; ends it first if the block is left by an exception."""
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
    """Returns the child's error as one of this process."""
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
    """Returns what to say of a child that ended without a result."""
    if code == -9:
        return RunError(
            "the training process was killed (signal 9), most likely because memory ran out; lower "
            "batch_size_per_gpu, then the input size, roi_mini_batch and rpn_pre_nms_top_N"
        )
    output.seek(0)
    lines = output.read().decode(errors="replace").splitlines()[-_LAST_LINES:]
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return RunError("\n  ".join([f"the training process ended unexpectedly ({how})", *lines]))
