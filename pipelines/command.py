"""`frcnn pipeline`: the whole way from labels to a deployable detector, here or on a cluster."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.errors import DataError, RunError
from pipelines import parameters

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
    parameters.add_flags(flags)


def run(args: argparse.Namespace) -> None:
    """Runs the sub-command."""
    {"run": _run, "compile": _compile}[args.command](args)


def _run(args: argparse.Namespace) -> None:
    from frcnn.spec import load_dataset_export, load_experiment

    given = parameters.given(args)  # before an hour of training
    if not args.data.is_dir():
        raise DataError(f"--data {args.data}: no such folder")
    arguments = {
        "spec": load_experiment(args.spec).text,
        "convert_spec": load_dataset_export(args.convert_spec).text if args.convert_spec else "",
        **given,
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
