"""The flags of `frcnn export` that also build a TensorRT engine of the exported file."""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.api.exporting import Engine

log = logging.getLogger(__name__)

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


def options(args: argparse.Namespace) -> "Engine | None":
    """Returns the engine that is asked for; None for none. Flags without effect are named in the log."""
    ignored = [name for name in _WITHOUT_EFFECT if getattr(args, name)]
    if args.engine_file is None:
        ignored += [name for name in _ENGINE_ONLY if getattr(args, name) is not None]
    if ignored:
        log.warning("without effect in this export: %s", " ".join(f"--{name}" for name in ignored))
    if args.engine_file is None:
        return None
    from frcnn.api.exporting import Engine

    given = {name: getattr(args, name) for name in _ENGINE_ONLY if getattr(args, name) is not None}
    return Engine(engine_file=args.engine_file, **given)
