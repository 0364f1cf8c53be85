"""Child process of `frcnn.api.isolated_training`: `python -m frcnn.api.train_child DESCRIPTOR PARENT`."""

import dataclasses
import json
import logging
import os
import sys
from pathlib import Path
from typing import IO

from frcnn.api.isolated_training import STOP, Message, error_message
from frcnn.api.specs import parsed_spec
from frcnn.api.training import Epoch, TrainingRequest, train_here
from frcnn.console import exit_codes
from frcnn.console.quiet_import import quiet_tensorflow_import
from frcnn.console.signals import end_with_parent, terminate_as_interrupt
from frcnn.errors import FrcnnError, RunError
from frcnn.packages import needed_for
from frcnn.progress import Progress, reported_to


class _Pipe:
    """Messages to the parent, one JSON text per line."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def send(self, kind: str, value: Message) -> None:
        """Sends one message immediately."""
        self._stream.write(json.dumps({"kind": kind, "value": value}) + "\n")
        self._stream.flush()

    def progress(self, report: Progress) -> None:
        """Reports the progress of the training."""
        self.send("progress", dataclasses.asdict(report))

    def epoch(self, epoch: Epoch) -> bool:
        """Reports an epoch; returns whether to continue."""
        self.send("epoch", dataclasses.asdict(epoch))
        return sys.stdin.readline().strip() != STOP


class _LogRecords(logging.Handler):
    """Log handler that sends records to the parent."""

    def __init__(self, pipe: _Pipe) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        """Sends one record to the parent."""
        self._pipe.send("log", {"name": record.name, "level": record.levelno, "text": record.getMessage()})


def main(descriptor: int, parent: int) -> int:
    """Runs the training requested on standard input.

    Args:
        descriptor: File descriptor of the pipe to the parent.
        parent: Id of the parent. This process ends with it, even if it was killed while this one started.

    Returns:
        Exit code.
    """
    end_with_parent(parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream, terminate_as_interrupt():
        pipe = _Pipe(stream)
        try:
            _train(pipe, json.loads(sys.stdin.readline()))
        except FrcnnError as error:
            pipe.send("error", error_message(error))
        except Exception as error:
            text = exit_codes.message(error)
            logging.getLogger("frcnn").debug("the training failed", exc_info=error)
            pipe.send("error", error_message(RunError(text)))
    return 0


def _train(pipe: _Pipe, request: Message) -> None:
    logger = logging.getLogger("frcnn")
    logger.setLevel(request["log_level"])
    logger.addHandler(_LogRecords(pipe))
    resolved = TrainingRequest(
        # The parent already logged the warnings about the spec.
        spec=parsed_spec(request["spec"], request["source"]),
        results_dir=Path(request["results_dir"]),
        key=request["key"],
        resume=request["resume"],
        use_amp=request["use_amp"],
        strict=request["strict"],
    )
    with quiet_tensorflow_import(), reported_to(pipe.progress), needed_for("training", "train"):
        result = train_here(resolved, pipe.epoch)
    value = dataclasses.asdict(result)
    names = ("model", "last", "best")
    pipe.send("result", {**value, **{name: value[name] and str(value[name]) for name in names}})


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
