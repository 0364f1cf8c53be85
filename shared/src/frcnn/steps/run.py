"""Common code of all pipeline steps: logging, signals, exit codes, and the report to KFP."""

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

# A Model artifact is a folder with one of these files and the records of how it was made.
MODEL_NAMES = ("model.tlt", "model.keras")


def run(args: argparse.Namespace, work: Callable[[argparse.Namespace], Mapping[str, Metadata]]) -> int:
    """Runs a step.

    Args:
        args: Flags of the step. Without `executor_input`, outputs are not reported to KFP. If `metrics` is a
            path, the metadata of the artifact `metrics` is also written there.
        work: Function that does the work and returns metadata by name of the output artifact.

    Returns:
        Exit code: 0 for success, 1 for failure, 2 for wrong flags or an invalid spec, 143 if terminated.
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
    """Writes the metrics to a file too: caching never reuses an artifact without a file."""
    path = getattr(args, "metrics", None)
    if path is not None:
        write_text(path, json.dumps(metadata.get("metrics", {}), indent=1, ensure_ascii=False) + "\n")


def model_file(artifact: Path) -> Path:
    """Finds the model in a Model artifact.

    Args:
        artifact: Folder of the artifact, or a model file.

    Returns:
        Path of the model file.

    Raises:
        ModelError: The folder contains no model.
    """
    if artifact.is_file():
        return artifact
    for name in MODEL_NAMES:
        if (artifact / name).is_file():
            return artifact / name
    raise ModelError(f"{artifact}: contains no {' or '.join(MODEL_NAMES)}; expected the output of a step.")


def model_name(key: str) -> str:
    """Returns the file name of the model in a Model artifact.

    Args:
        key: Key of a sealed model; empty for a plain one.
    """
    return MODEL_NAMES[0] if key else MODEL_NAMES[1]


def keep_model(path: Path | None, artifact: Path) -> None:
    """Copies a checkpoint into a Model artifact, under the name that `model_file` finds.

    Args:
        path: Checkpoint; `None` if the training saved none.
        artifact: Folder of the artifact.

    Raises:
        RunError: There is no checkpoint.
    """
    if path is None:
        raise RunError("The training left no checkpoint. The messages before this one say why.")
    with atomic_path(artifact / f"model{path.suffix}") as temporary:
        shutil.copyfile(path, temporary)


def write_parameter(path: Path | None, value: object) -> None:
    """Writes an output parameter in KFP's format.

    Args:
        path: File to write; `None` writes nothing.
        value: Value of the parameter.
    """
    if path is not None:
        write_text(path, str(value).lower() if isinstance(value, bool) else str(value))
