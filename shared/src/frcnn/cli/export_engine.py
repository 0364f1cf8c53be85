"""Flags of `frcnn export` that also build a TensorRT engine of the exported model."""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.api.engine import Engine

log = logging.getLogger(__name__)

_ENGINE_ONLY = ("max_workspace_size", "min_batch_size", "opt_batch_size", "max_batch_size", "timing_cache")
# TAO flags that are accepted but ignored.
_WITHOUT_EFFECT = ("onnx_route", "strict_type_constraints")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags."""
    add = parser.add_argument_group("TensorRT").add_argument
    add(
        "--engine_file",
        type=Path,
        metavar="FILE",
        help="also build a TensorRT engine of the exported model for the GPU of this machine",
    )
    for name, text in (("min", "smallest"), ("opt", "most common"), ("max", "largest")):
        add(f"--{name}_batch_size", type=int, metavar="N", help=f"{text} batch size (default: 1)")
    add(
        "--max_workspace_size",
        type=int,
        metavar="BYTES",
        help="memory limit of TensorRT's tactics, bytes (default: 2 GiB)",
    )
    add("--timing_cache", type=Path, metavar="FILE", help="cache that speeds up later builds; updated")
    parser.add_argument("--onnx_route", default="", help=argparse.SUPPRESS)
    parser.add_argument("-s", "--strict_type_constraints", action="store_true", help=argparse.SUPPRESS)


def options(args: argparse.Namespace) -> "Engine | None":
    """Returns the settings of the engine; logs flags that are ignored.

    Args:
        args: Parsed flags.

    Returns:
        Settings; `None` without `--engine_file`.
    """
    ignored = [name for name in _WITHOUT_EFFECT if getattr(args, name)]
    if args.engine_file is None:
        ignored += [name for name in _ENGINE_ONLY if getattr(args, name) is not None]
    if ignored:
        log.warning("Ignored flags: %s", " ".join(f"--{name}" for name in ignored))
    if args.engine_file is None:
        return None
    from frcnn.api.engine import Engine

    given = {name: getattr(args, name) for name in _ENGINE_ONLY if getattr(args, name) is not None}
    return Engine(engine_file=args.engine_file, **given)
