"""The flags of `frcnn export` that also build a TensorRT engine of the exported file."""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.exporting.tensorrt.engine import EngineSettings

log = logging.getLogger(__name__)

_GIB = 2**30
_ENGINE_ONLY = ("max_workspace_size", "min_batch_size", "opt_batch_size", "max_batch_size", "timing_cache")
# What the reference's users pass and this version has no use for.
_WITHOUT_EFFECT = ("onnx_route", "strict_type_constraints")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags."""
    add = parser.add_argument_group("TensorRT").add_argument
    add(
        "--engine_file",
        type=Path,
        metavar="FILE",
        help="also build an engine of the exported model, for the GPU of this machine",
    )
    for name, text in (("min", "fewest"), ("opt", "most usual number of"), ("max", "most")):
        add(f"--{name}_batch_size", type=int, metavar="N", help=f"{text} images of the engine (default: 1)")
    add("--max_workspace_size", type=int, metavar="BYTES", help="for tactics (default: 2 GiB)")
    add(
        "--timing_cache",
        type=Path,
        metavar="FILE",
        help="makes the next build faster; read and written",
    )
    parser.add_argument("--onnx_route", default="", help=argparse.SUPPRESS)
    parser.add_argument("-s", "--strict_type_constraints", action="store_true", help=argparse.SUPPRESS)


def settings(args: argparse.Namespace) -> "EngineSettings | None":
    """The engine that is asked for; None for none. An INT8 graph gets the form that TensorRT takes.

    Raises:
        UsageError: The flags contradict each other.
        RunError: No GPU, or no TensorRT.
    """
    ignored = [name for name in _WITHOUT_EFFECT if getattr(args, name)]
    if args.engine_file is None:
        ignored += [name for name in _ENGINE_ONLY if getattr(args, name) is not None]
    if ignored:
        log.warning("without effect in this export: %s", " ".join(f"--{name}" for name in ignored))
    if args.engine_file is None:
        return None
    if args.int8_profile == "cpu":
        raise UsageError("--int8_profile cpu: TensorRT takes the other form; leave it out with --engine_file")
    if args.data_type == "int8":
        args.int8_profile = "tensorrt"

    from frcnn.exporting.tensorrt.engine import EngineSettings, require_gpu

    wanted = EngineSettings(
        batches=EngineSettings.batches_of(args.min_batch_size, args.opt_batch_size, args.max_batch_size),
        workspace_gib=2.0 if args.max_workspace_size is None else args.max_workspace_size / _GIB,
        timing_cache=args.timing_cache,
    )
    require_gpu()
    return wanted


def write_engine(
    args: argparse.Namespace, wanted: "EngineSettings | None", onnx: Path, key: str
) -> Iterator[str]:
    """Builds it, and yields a line about it."""
    from frcnn.exporting.tensorrt.engine import build_engine

    if wanted is not None:
        build_engine(onnx, args.engine_file, wanted, key)
        yield f"engine: {args.engine_file}\n"
