"""`frcnn pipeline`: the whole way from labels to a deployable detector, here or on a cluster."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.errors import DataError, RunError, UsageError

if TYPE_CHECKING:
    from pipelines.local_run import LocalRun

HELP = "Run, or compile, the pipeline convert, train, evaluate, prune, retrain, evaluate, export."
EXAMPLES = """\
  frcnn pipeline run --spec spec.txt --data ~/kitti -o runs/kitti
  frcnn pipeline run --spec spec.txt --data ~/kitti --epochs 2 --minimum_map 0    a first look
  frcnn pipeline compile -o compiled --registry my.registry/team --tag 1.2
`frcnn pipeline run --help` lists the flags of a run.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the sub-commands and their flags."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="run|compile")
    run_flags = commands.add_parser("run", help="run on this machine, each step a process")
    _add_run_flags(run_flags)
    compile_flags = commands.add_parser("compile", help="write the YAML for Kubeflow")
    compile_flags.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="for the YAML")
    compile_flags.add_argument("--registry", metavar="NAME", help="where the steps' images are")
    compile_flags.add_argument("--tag", metavar="TAG", help="of the images (default: the version)")


def _add_run_flags(flags: argparse.ArgumentParser) -> None:
    add = flags.add_argument
    add("--runner", choices=("process",), default="process", help="what runs a step (default: process)")
    add("-e", "--spec", type=Path, required=True, metavar="FILE", help="experiment spec")
    add("--data", type=Path, required=True, metavar="DIR", help="data set; without --convert_spec in KITTI")
    add("--convert_spec", type=Path, metavar="FILE", help="how to convert and split it")
    add("-o", "--output", type=Path, default=Path("runs/pipeline"), metavar="DIR", help="runs/pipeline")
    add("--epochs", type=int, default=0, metavar="N", help="of the training (default: the spec's)")
    add("--retrain_epochs", type=int, default=0, metavar="N", help="after pruning (default: the spec's)")
    add("--prune_threshold", type=float, default=0.1, metavar="T", help="more prunes more (default: 0.1)")
    add(
        "--target_params",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="instead of a threshold, such as 0.15",
    )
    add("--minimum_map", type=float, default=0.3, metavar="AP", help="least mAP to go on (default: 0.3)")
    add("--export_precision", choices=("fp32", "fp16"), default="fp32", help="default: fp32")
    add(
        *("--tolerance",),
        type=float,
        default=0.02,
        metavar="AP",
        help="how much mAP pruning may cost (default: 0.02)",
    )


def run(args: argparse.Namespace) -> None:
    """Runs the sub-command."""
    {"run": _run, "compile": _compile}[args.command](args)


def _run(args: argparse.Namespace) -> None:
    from frcnn.evaluate.gate import Gate
    from frcnn.spec import load_dataset_export, load_experiment

    Gate(args.minimum_map, tolerance=args.tolerance)  # before an hour of training
    for flag in ("epochs", "retrain_epochs"):
        if getattr(args, flag) < 0:
            raise UsageError(f"--{flag} {getattr(args, flag)}: expected 1 or more")
    if not args.data.is_dir():
        raise DataError(f"--data {args.data}: no such folder")
    arguments = {
        "spec": load_experiment(args.spec).text,
        "convert_spec": load_dataset_export(args.convert_spec).text if args.convert_spec else "",
        "epochs": args.epochs,
        "retrain_epochs": args.retrain_epochs,
        "prune_threshold": args.prune_threshold,
        "target_params": args.target_params,
        "minimum_map": args.minimum_map,
        "tolerance": args.tolerance,
        "export_precision": args.export_precision,
    }
    from pipelines.local_run import run_locally

    result = run_locally(arguments, args.data, args.output)
    sys.stdout.write(_summary(result))
    if result.objections:
        raise RunError(f"nothing exported: {result.objections}")


def _summary(result: "LocalRun") -> str:
    """Each step with its state and time, and where its artifacts lie."""
    lines = ["", f"{'step':<20}{'state':<10}{'seconds':>8}"]
    for step in result.steps:
        lines.append(f"{step.name:<20}{step.state:<10}{step.seconds:>8.1f}")
        lines += [f"  {name}: {value:.4f}" for name, value in step.parameters.items() if _is_number(value)]
        folder = result.latest / step.name.replace(" ", "-")
        lines += [f"  {name}: {folder / name}" for name in step.artifacts if (folder / name).exists()]
    return "\n".join(lines) + "\n"


def _is_number(value: object) -> bool:
    return isinstance(value, float)


def _compile(args: argparse.Namespace) -> None:
    from components.images import REGISTRY_VARIABLE, TAG_VARIABLE

    for variable, value in ((REGISTRY_VARIABLE, args.registry), (TAG_VARIABLE, args.tag)):
        if value:
            os.environ[variable] = value
    from pipelines.compile import compile_all

    for path in compile_all(args.output):
        sys.stdout.write(f"{path}\n")
