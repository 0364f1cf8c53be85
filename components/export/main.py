"""Writes a model for deployment."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.runtime.kfp_output import Metadata

ONNX, SEALED, SPEC = "model.onnx", "model.etlt", "spec.txt"


def parser() -> argparse.ArgumentParser:
    """The command line; `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="export", description=__doc__)
    flags.add_argument("--spec", required=True, help="experiment spec, protobuf text or a file's name")
    flags.add_argument("--model", type=Path, required=True, help="the model")
    flags.add_argument(
        "--precision", choices=("fp32", "fp16"), default="fp32", help="of the networks (default: fp32)"
    )
    flags.add_argument("--exported", type=Path, required=True, help="folder to write to")
    flags.add_argument("--executor-input", metavar="JSON", help="what KFP puts in place of {{$}}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    args = parser().parse_args(argv)
    from frcnn.cli.step import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Exports, as `frcnn export` does."""
    from frcnn.cli.step import model_file, run_task
    from frcnn.runtime.files import write_text
    from frcnn.runtime.keys import masked_spec, resolve_key
    from frcnn.spec.overrides import experiment_given

    spec = experiment_given(args.spec)
    target = args.exported / (SEALED if resolve_key(None, spec.enc_key) else ONNX)
    args.exported.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        spec_file = Path(folder) / SPEC
        spec_file.write_text(spec.text, encoding="utf-8")
        words = ("-m", model_file(args.model), "-e", spec_file, "-o", target, "--data_type", args.precision)
        run_task("export", *words, "--gen_ds_config")
    write_text(args.exported / SPEC, masked_spec(spec.text))
    return {"exported": {"file": target.name, "precision": args.precision, "bytes": target.stat().st_size}}


if __name__ == "__main__":
    sys.exit(main())
