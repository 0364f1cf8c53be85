"""The flags that evaluate and inference share: spec, key and model."""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from frcnn.cli.spec_flags import add_spec_flags
from frcnn.errors import ModelError, Problem, SpecError
from frcnn.training.run_folder import find_checkpoint

if TYPE_CHECKING:
    from frcnn.inference.onnx_sessions import RuntimeChoice
    from frcnn.spec import Experiment

log = logging.getLogger(__name__)


def add_model_flags(parser: argparse.ArgumentParser, field: str) -> None:
    """Adds -e, -k, -m, what runs the model, and the flags that the reference takes and ignores.

    Args:
        parser: Of the task.
        field: The spec's field that -m overrides.
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
        help=f"instead of {field}; a results folder means its best",
    )
    add_runtime_flags(parser)
    parser.add_argument(
        "--as_is",
        action="store_true",
        help="run an exported model's own graph; else, on a CPU, its head runs as --cpu_fast_head exports it",
    )
    for flags in (("-i", "--image_dir"), ("-l", "--label_dir"), ("-b", "--batch_size")):
        parser.add_argument(*flags, help=argparse.SUPPRESS)


def add_runtime_flags(parser: argparse.ArgumentParser) -> None:
    """Adds --runtime and --precision_hint, which say what runs an exported model."""
    parser.add_argument(
        "--runtime",
        choices=("onnxruntime", "openvino"),
        help="what runs an exported model (default: onnxruntime)",
    )
    parser.add_argument(
        "--precision_hint",
        choices=("fp32", "bf16", "fp16"),
        default="",
        help="with --runtime openvino: the type that float32 layers may be computed in (default: fp32)",
    )


def runtime_choice(args: argparse.Namespace) -> "RuntimeChoice | None":
    """What the flags of `add_runtime_flags` ask for; None if nothing.

    Raises:
        UsageError: A hint without the runtime that takes it.
    """
    from frcnn.inference.onnx_sessions import RuntimeChoice

    if args.runtime is None and not args.precision_hint:
        return None
    return RuntimeChoice(args.runtime or "onnxruntime", args.precision_hint)


def model_path(
    given: Path | None, spec: "Experiment", section: Literal["evaluation_config", "inference_config"]
) -> Path:
    """The model to load: -m, else the engine of the deprecated `trt_*` message, else the section's `model`.

    Raises:
        SpecError: None of them is set.
        ModelError: The file does not exist.
    """
    if section == "evaluation_config":
        model, engine = spec.evaluation_config.model, spec.evaluation_config.trt_evaluation
    else:
        model, engine = spec.inference_config.model, spec.inference_config.trt_inference
    named = (engine.trt_engine if engine else "") or model
    if given is None and not named:
        problem = Problem(f"{section}.model", "not set; name the model there or with -m")
        raise SpecError(spec.source, [problem])
    path = found_model(given if given is not None else Path(named))
    if not path.is_file():
        source = "-m" if given is not None else f"{section} of {spec.source}"
        raise ModelError(f"{path}, named by {source}, does not exist; expected a model file")
    return path


def found_model(path: Path) -> Path:
    """The model that a path means: a file, or the best checkpoint of a results folder (`RESULTS/latest` too).

    Raises:
        ModelError: A folder without a checkpoint.
    """
    found = find_checkpoint(path, "best")
    if found != path:
        log.info("%s: the model is %s", path, found.name)
    return found
