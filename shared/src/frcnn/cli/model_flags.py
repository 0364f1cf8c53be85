"""Flags shared by evaluate and inference: spec, key and model."""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.cli.shared_flags import OR_RESULTS
from frcnn.cli.spec_flags import add_spec_flags
from frcnn.errors import ModelError, Problem, SpecError
from frcnn.training.run_folder import find_checkpoint

if TYPE_CHECKING:
    from frcnn.inference.open_model import RunOptions

log = logging.getLogger(__name__)


def add_model_flags(parser: argparse.ArgumentParser, field: str) -> None:
    """Adds `-e`, `-k`, `-m`, the runtime flags, and TAO flags that are accepted but ignored.

    Args:
        parser: Parser of the command.
        field: Spec field that `-m` overrides.
    """
    add_spec_flags(parser)
    parser.add_argument(
        "-k",
        "--key",
        "--enc_key",
        metavar="KEY",
        help="key of the model file (safer: FRCNN_KEY, or -k @FILE)",
    )
    parser.add_argument(
        "-m",
        "--model_path",
        "--model",
        dest="model",
        type=Path,
        metavar="FILE",
        help=f"model file, {OR_RESULTS} (default: {field})",
    )
    add_runtime_flags(parser)
    parser.add_argument(
        "--as_is",
        action="store_true",
        help="run the exported graph unchanged (default: on CPUs, use the fast head, see export "
        "--cpu_fast_head)",
    )
    for flags in (("-i", "--image_dir"), ("-l", "--label_dir"), ("-b", "--batch_size")):
        parser.add_argument(*flags, help=argparse.SUPPRESS)


def add_runtime_flags(parser: argparse.ArgumentParser) -> None:
    """Adds `--runtime` and `--precision_hint`, the runtime of exported models."""
    parser.add_argument(
        "--runtime",
        choices=("onnxruntime", "openvino"),
        help="runtime of an exported model (default: onnxruntime)",
    )
    parser.add_argument(
        "--precision_hint",
        choices=("fp32", "bf16", "fp16"),
        default="",
        help="data type in which OpenVINO may compute float32 layers (default: fp32)",
    )


def run_options(args: argparse.Namespace) -> "RunOptions":
    """Returns runtime and options of the model from the flags of `add_model_flags`.

    Args:
        args: Parsed flags.

    Returns:
        Options of the model.
    """
    from frcnn.inference.open_model import RunOptions

    return RunOptions(args.runtime or "auto", precision_hint=args.precision_hint or None, as_is=args.as_is)


def model_extras(args: argparse.Namespace, task: str) -> str:
    """Returns the extras of a task that runs a model, with those of the runtime of an exported model.

    Args:
        args: Parsed flags.
        task: Extras of the task, comma-separated.
    """
    if args.runtime == "openvino":
        return f"{task},openvino"
    exported = args.model is not None and args.model.suffix in (".onnx", ".etlt")
    return f"{task},onnx" if exported or args.runtime == "onnxruntime" else task


def model_path(given: Path | None, named: str, section: str, source: str) -> Path:
    """Returns the path of the model to load; `-m` takes precedence.

    Args:
        given: Value of the flag `-m`; `None` if it is absent.
        named: Path of the model that the spec names; empty for none.
        section: Section of the spec that names the model.
        source: Name of the spec in messages.

    Returns:
        Path of a model file.

    Raises:
        SpecError: Neither the flag nor the spec names a model.
        ModelError: The file does not exist.
    """
    if given is None and not named:
        problem = Problem(f"{section}.model", "not set; set it or use -m")
        raise SpecError(source, [problem])
    path = found_model(given if given is not None else Path(named))
    if not path.is_file():
        origin = "-m" if given is not None else f"{section} of {source}"
        raise ModelError(
            f"{path}, given by {origin}, does not exist; expected a model file or the results of a training"
        )
    return path


def found_model(path: Path) -> Path:
    """Returns the model file for a path.

    Args:
        path: Model file or results folder (also `RESULTS/latest`).

    Returns:
        The file itself, or the best checkpoint of the folder.

    Raises:
        ModelError: The folder contains no checkpoint.
    """
    found = find_checkpoint(path, "best")
    if found != path:
        log.info("%s: using model %s", path, found.name)
    return found
