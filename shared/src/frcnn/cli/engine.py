"""`frcnn engine build`: builds a TensorRT engine of an exported model for the GPU of this machine."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from frcnn.cli.shared_flags import add_model_flag
from frcnn.errors import ModelError, UsageError

HELP = "Build a TensorRT engine of an exported model, for the GPU of this machine."
EXAMPLES = """\
  frcnn engine build -m model.onnx -o model.engine --max_batch_size 8
  frcnn engine build -m model.etlt -k @key.txt -o model.engine --data_type fp16
  frcnn onnx verify model.engine --against model.onnx -e spec.txt --images data/test
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    add = parser.add_argument
    add("action", choices=("build",), help="action")
    add_model_flag(parser, "exported model, .onnx or .etlt")
    add(
        *("-o", "--output_file", "--engine_file"),
        type=Path,
        metavar="FILE",
        help="engine file to write (default: name of the model with suffix .engine)",
    )
    add("-k", "--key", "--enc_key", metavar="KEY", help="key of an .etlt (safer: FRCNN_KEY, or -k @FILE)")
    add("--force", action="store_true", help="overwrite an existing file")
    add(
        "--data_type",
        choices=("fp32", "fp16", "int8"),
        help="lower the precision of a model exported as fp32; boxes and NMS stay fp32 (default: unchanged)",
    )
    add("--cal_cache_file", type=Path, metavar="FILE", help="int8 scales of a model that is not quantized")
    for name, text in (("min", "smallest"), ("opt", "most common"), ("max", "largest")):
        add(f"--{name}_batch_size", type=int, default=1, metavar="N", help=f"{text} batch size (default: 1)")
    add(
        "--max_workspace_size",
        type=float,
        default=2.0,
        metavar="GIB",
        help="memory limit of TensorRT's tactics, GiB (default: 2)",
    )
    add("--timing_cache", type=Path, metavar="FILE", help="cache that speeds up later builds; updated")
    add("-r", "--results_dir", type=Path, metavar="DIR", help="folder for status.json")


def run(args: argparse.Namespace) -> Mapping[str, object]:
    """Builds the engine and prints its path.

    Returns:
        Size of the engine, MiB, for the status file.

    Raises:
        UsageError: The model is a folder, or the engine file exists.
        ModelError: The model file does not exist.
    """
    target = args.output_file or args.model.with_suffix(".engine")
    if args.model.is_dir():
        raise UsageError(f"{args.model}: a folder; expected an exported file. Run frcnn export first")
    if not args.model.is_file():
        raise ModelError(f"{args.model}: no such model file")
    if target.exists() and not args.force:
        raise UsageError(f"{target}: exists; name another output with -o, or add --force")

    from frcnn.exporting.tensorrt.engine import EngineSettings, build_engine
    from frcnn.sealing.keys import resolve_key

    settings = EngineSettings(
        precision=args.data_type,
        batches=EngineSettings.batches_of(args.min_batch_size, args.opt_batch_size, args.max_batch_size),
        workspace_gib=args.max_workspace_size,
        calibration_cache=args.cal_cache_file,
        timing_cache=args.timing_cache,
    )
    build_engine(args.model, target, settings, resolve_key(args.key, ""))
    sys.stdout.write(f"engine: {target}\n")
    return {"kpi": {"size": target.stat().st_size / 2**20}}
