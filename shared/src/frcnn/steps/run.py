"""What the entry scripts of all pipeline steps share: log, signals, exit codes, and the answer to KFP."""

import argparse
import contextlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from frcnn.console import exit_codes
from frcnn.console.keras_settings import settle_keras
from frcnn.console.logs import setup_logging
from frcnn.console.quiet_import import quiet_tensorflow_import
from frcnn.console.signals import terminate_as_interrupt
from frcnn.console.streams import finish_streams, settle_streams
from frcnn.errors import ModelError, RunError
from frcnn.files import atomic_path, write_text
from frcnn.steps.kfp_output import Metadata, write_executor_output

# A Model artifact is a folder with one of these, and the records of how it was made.
MODEL_NAMES = ("model.tlt", "model.keras")


def run(args: argparse.Namespace, work: Callable[[argparse.Namespace], Mapping[str, Metadata]]) -> int:
    """Runs a step; returns its exit code: 0 done, 1 failed, 2 wrong flags or spec, 143 terminated.

    Args:
        args: The step's flags. Without `executor_input` nobody is told of the outputs; with `metrics`,
            a path, the metadata of the artifact of that name is written there too.
        work: Does it, and returns metadata by name of output artifact.
    """
    settle_streams()
    settle_keras()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("MPLBACKEND", "Agg")
    setup_logging(verbose=False, log_file=None)
    with contextlib.ExitStack() as stack:
        stack.enter_context(terminate_as_interrupt())
        try:
            stack.enter_context(quiet_tensorflow_import())
            metadata = work(args)
            _write_metrics(args, metadata)
            if args.executor_input:
                write_executor_output(args.executor_input, metadata)
        except BaseException as error:
            return finish_streams(exit_codes.report(error, verbose=False))
    return finish_streams(0)


def _write_metrics(args: argparse.Namespace, metadata: Mapping[str, Metadata]) -> None:
    """A file for the metrics beside their metadata: an artifact without one is never reused by a cache."""
    path = getattr(args, "metrics", None)
    if path is not None:
        write_text(path, json.dumps(metadata.get("metrics", {}), indent=1, ensure_ascii=False) + "\n")


def model_file(artifact: Path) -> Path:
    """The model in a Model artifact; a model file by itself will do too.

    Raises:
        ModelError: There is none.
    """
    if artifact.is_file():
        return artifact
    for name in MODEL_NAMES:
        if (artifact / name).is_file():
            return artifact / name
    raise ModelError(f"{artifact}: holds no {' or '.join(MODEL_NAMES)}; expected the output of a step")


def model_name(key: str) -> str:
    """What the model in a Model artifact is called: sealed with `key`, or plain without one."""
    return MODEL_NAMES[0] if key else MODEL_NAMES[1]


def keep_model(path: Path | None, artifact: Path) -> None:
    """Copies a checkpoint into a Model artifact, under the name that `model_file` looks for.

    Raises:
        RunError: There is no checkpoint.
    """
    if path is None:
        raise RunError("the training left no model: checkpoint_interval is longer than its epochs")
    with atomic_path(artifact / f"model{path.suffix}") as temporary:
        shutil.copyfile(path, temporary)


def write_parameter(path: Path | None, value: object) -> None:
    """Writes an output parameter the way KFP reads it, if it is asked for."""
    if path is not None:
        write_text(path, str(value).lower() if isinstance(value, bool) else str(value))
