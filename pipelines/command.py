"""`frcnn pipeline`: runs all steps from labels to a deployable detector, locally or on a cluster."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.cli.spec_flags import add_set_flag
from frcnn.errors import DataError, RunError, UsageError
from frcnn.packages import require
from frcnn.steps.publishing import is_s3
from frcnn.steps.quality_gate import BELOW_MINIMUM
from pipelines import parameters, pods, specs
from pipelines.remote import command as remote
from pipelines.remote import flags, package, versions

if TYPE_CHECKING:
    from pipelines.local.run import LocalRun

# Extras of the steps that run as processes.
STEPS = "evaluate,export"
HELP = "Convert, train, evaluate, prune, retrain, evaluate, export and publish, locally or on a cluster."
EXAMPLES = """\
  frcnn pipeline run --data ~/kitti                           with a spec chosen for the data
  frcnn pipeline run --spec spec.txt --data ~/kitti -o runs/kitti
  frcnn pipeline run --data ~/kitti --epochs 2 --retrain_epochs 2 --minimum_map 0 --tolerance 1    quick trial
  frcnn pipeline compile -o compiled --registry my.registry/team --tag 1.2
  frcnn pipeline submit --spec spec.txt --data s3://data/kitti --host http://localhost:8080 --wait
  frcnn pipeline push-spec spec.txt s3://data/specs/kitti.txt       for field `spec` of the UI
  frcnn pipeline paste-spec spec.txt                                one line for the same field
  frcnn pipeline publish --tag 1.2 --host http://localhost:8080
  frcnn pipeline list --host http://localhost:8080
  frcnn pipeline status RUN --wait
  frcnn pipeline cancel RUN
  frcnn pipeline schedule --name weekly --cron '0 2 * * 0' --spec spec.txt --data s3://data/kitti
`frcnn pipeline COMMAND --help` lists the flags of a command.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands and their flags."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run_flags = commands.add_parser("run", help="run on this machine, each step as a process")
    _add_run_flags(run_flags)
    compile_flags = commands.add_parser(
        "compile", help="compile the pipeline and each component to YAML for Kubeflow"
    )
    compile_flags.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="output folder for the YAML files"
    )
    compile_flags.add_argument(
        "--server_release",
        default=versions.shown(versions.OLDEST),
        metavar="RELEASE",
        help="oldest release of Kubeflow Pipelines that has to run the YAML; from 2.16 on, pods meet the Pod "
        "Security Standard restricted (default: %(default)s)",
    )
    package.add_image_flags(compile_flags)
    pods.add_flags(compile_flags)
    specs.add_commands(commands)
    flags.add_commands(commands)
    summaries = {action.dest: action.help or "" for action in commands._get_subactions()}
    for name, parser in commands.choices.items():
        _add_log_flags(parser)
        parser.description = f"{summaries[name][:1].upper()}{summaries[name][1:]}."
        lines = [line for line in EXAMPLES.splitlines() if line.startswith(f"  frcnn pipeline {name} ")]
        parser.epilog = "\n".join(["examples:", *lines])
        parser.formatter_class = argparse.RawDescriptionHelpFormatter


def _add_log_flags(parser: argparse.ArgumentParser) -> None:
    """Adds flags that every task has, so that they are accepted after the name of the command, too."""
    add = parser.add_argument_group("flags of every task").add_argument
    hidden = argparse.SUPPRESS  # no default: it would replace what was given before the name
    add("--log_file", type=Path, default=hidden, metavar="PATH", help="file to append all output to")
    add(
        "-v",
        "--verbose",
        action="store_true",
        default=hidden,
        help="show debug messages, and stack traces of errors",
    )


def _add_run_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--runner",
        choices=("process", "docker"),
        default="process",
        help="run each step as a process or in a container (default: process)",
    )
    add(
        "--network",
        default="",
        metavar="NAME",
        help="Docker network for the steps, with --runner docker (default: Docker's)",
    )
    package.add_image_flags(parser)
    add(
        "-e",
        "--spec",
        type=Path,
        metavar="FILE",
        help="experiment spec (default: one chosen for the data set)",
    )
    add_set_flag(parser)
    add("--data", required=True, metavar="PLACE", help="folder or s3:// URI of the data set")
    add(
        "--convert_spec",
        type=Path,
        metavar="FILE",
        help="conversion spec (default: KITTI or COCO, split by its parts, or a fifth held out)",
    )
    add(
        "-o",
        "--output",
        type=Path,
        default=Path("runs/pipeline"),
        metavar="DIR",
        help="output folder (default: runs/pipeline)",
    )
    parameters.add_flags(parser)


def extras(args: argparse.Namespace) -> str:
    """Returns the extras that the subcommand needs."""
    steps = args.command == "run" and args.runner == "process"
    return f"{STEPS},pipeline" if steps else "pipeline"


def run(args: argparse.Namespace) -> None:
    """Runs the subcommand.

    Args:
        args: Parsed flags.
    """
    {
        "run": _run,
        "compile": _compile,
        "push-spec": specs.run,
        "paste-spec": specs.run,
    }.get(args.command, remote.run)(args)


def _run(args: argparse.Namespace) -> None:
    began = time.monotonic()
    from pipelines.spec_key import conversion_text, experiment_text

    given = parameters.given(args)  # check before any step runs
    if args.settings and not args.spec:
        raise UsageError("--set requires --spec: it changes fields of that file.")
    if not is_s3(args.data) and not Path(args.data).is_dir():
        raise DataError(
            f"step convert: --data {args.data}: no such folder. Specify an existing folder or an s3:// URI."
        )
    arguments = {
        "spec": experiment_text(args.spec, args.settings) if args.spec else "",
        "convert_spec": conversion_text(args.convert_spec) if args.convert_spec else "",
        **given,
    }
    package.choose_images(args)
    if args.runner == "process":
        require(STEPS, "frcnn pipeline run")
    from pipelines.local.run import run_locally

    network = args.network if args.runner == "docker" else None
    result = run_locally(arguments, args.data, args.output, docker_network=network)
    sys.stdout.write(_summary(result, time.monotonic() - began))
    if result.objections:
        raise RunError(_not_exported(result))


def _not_exported(result: "LocalRun") -> str:
    """Returns why nothing was exported, and what to do."""
    if result.report is None:
        return f"nothing exported: {result.objections}"
    remedy = "Train for longer (--epochs), or, for a trial, pass --minimum_map 0 --tolerance 1"
    if BELOW_MINIMUM not in result.objections:
        remedy = "Retrain for longer (--retrain_epochs), prune less (--target_params), or raise --tolerance"
    return (
        f"nothing exported: {result.objections}. See {result.report}. {remedy}; docs/troubleshooting.md "
        "explains more causes."
    )


def _summary(result: "LocalRun", total: float) -> str:
    """Formats state, time and artifacts of each step; `total` is in seconds."""
    lines = ["", f"{'step':<20}{'state':<10}{'seconds':>8}"]
    for step in result.steps:
        lines.append(f"{step.name:<20}{step.state:<10}{step.seconds:>8.1f}")
        numbers = {name: value for name, value in step.parameters.items() if isinstance(value, float)}
        lines += [f"  {name}: {value:.4f}" for name, value in numbers.items()]
        folder = result.latest / step.name.replace(" ", "-")
        lines += [f"  {name}: {folder / name}" for name in step.artifacts if (folder / name).exists()]
    outside = total - sum(step.seconds for step in result.steps)
    lines.append(f"total{total:>33.1f}   ({outside:.1f} s outside the steps)")
    if result.publishing:
        lines.append(result.publishing)
    return "\n".join(lines) + "\n"


def _compile(args: argparse.Namespace) -> None:
    pods.choose_release(versions.given(args.server_release))
    package.choose_images(args)
    from pipelines.compile import compile_all, compile_components

    for path in (*compile_all(args.output), *compile_components(args.output / "components")):
        sys.stdout.write(f"{path}\n")
