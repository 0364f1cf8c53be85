"""`frcnn tune`: searches the fields of a spec for the values that give the best detector."""

import argparse
import importlib.metadata
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frcnn.cli.shared_flags import add_epochs_flag
from frcnn.cli.spec_flags import add_spec_flags, load_spec
from frcnn.errors import UsageError
from frcnn.packages import needed_for

HELP = "Search learning rate, anchors, augmentation and other fields of a spec for the best detector."
EXAMPLES = """\
  frcnn tune -e spec.txt -r tuned --trials 30 --epochs 10
  frcnn tune -e spec.txt -r tuned --trials 30 --epochs 10        resumes after an interruption
  frcnn tune -e spec.txt -r tuned --archs resnet:34 mobilenet_v2 --hours 8 --gpus 4 --jobs 4
  frcnn tune -e spec.txt -r tuned --space space.txt --objectives mAP flops
A space file names fields and their values:
  search { field: "training_config.learning_rate.soft_start.base_lr" low: 1e-4 high: 1e-2 log: true }
  search { field: "model_config.anchor_box_config.scale" low: 0.7 high: 1.4 factor: true }
  search { field: "model_config.arch" value: "resnet:18" value: "mobilenet_v2" }
"""
# Two searches in one folder would run the same trials.
ONE_WRITER = True
# Entry point group for places that run the trials elsewhere; each has `add_flags` and `run`.
ENTRY_POINTS = "frcnn.tuners"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    add_spec_flags(parser)
    add = parser.add_argument
    add("-r", "--results_dir", type=Path, metavar="DIR", help="folder for study, trials and results")
    add("-k", "--enc_key", "--key", default=None, help="key of model files (safer: FRCNN_KEY or -k @FILE)")
    add("--space", type=Path, metavar="FILE", help="fields to search (default: see docs/tuning.md)")
    add(
        "--archs",
        nargs="+",
        default=[],
        metavar="ARCH",
        help="backbones to choose from, in addition to the spec's",
    )
    add(
        "--trials", type=int, default=20, metavar="N", help="trials, with those of earlier runs (default: 20)"
    )
    add("--hours", type=float, metavar="H", help="time, with that of earlier runs (default: no limit)")
    add("--jobs", type=int, default=1, metavar="N", help="trials at a time (default: 1)")
    add(
        "--objectives",
        nargs="+",
        default=["mAP"],
        metavar="NAME",
        help="mAP, or mAP and one of flops, latency for a Pareto front (default: mAP)",
    )
    add(
        "--pruner",
        choices=("asha", "hyperband", "none"),
        default="asha",
        help="rule that ends bad trials early by their mAP after each epoch (default: asha)",
    )
    add("--seed", type=int, metavar="N", help="seed of the search (default: the spec's random_seed)")
    add_epochs_flag(parser, "epochs of a trial (default: training_config.num_epochs)")
    add("--strict", action="store_true", help="fail on images that cannot be read")
    for name, point in _elsewhere().items():
        point.load().add_flags(parser, f"--{name}")


def run(args: argparse.Namespace) -> Mapping[str, object] | None:
    """Searches, and prints the best trial and the names of the result files.

    Returns:
        Metrics for the status file.

    Raises:
        UsageError: Neither a results folder nor another place is given, or a flag belongs to another place.
    """
    for name, point in _elsewhere().items():
        if getattr(args, name, False):
            point.load().run(args)
            return None
        _refuse_flags_of(point.load(), name, args)
    if args.results_dir is None:
        raise UsageError("-r DIR is missing: expected a folder for study, trials and results")
    if args.gpus > args.jobs:
        raise UsageError(
            f"--gpus {args.gpus} with --jobs {args.jobs}: a trial uses one GPU; "
            f"expected --jobs {args.gpus} or more"
        )
    return _search(args)


def _refuse_flags_of(place: Any, name: str, args: argparse.Namespace) -> None:
    """Refuses the flags of a place that was not chosen, instead of searching here without them."""
    parser = argparse.ArgumentParser(add_help=False)
    place.add_flags(parser, f"--{name}")
    for field, default in vars(parser.parse_args([])).items():
        if getattr(args, field) != default:
            raise UsageError(f"--{field} needs --{name}")


def _search(args: argparse.Namespace) -> Mapping[str, object]:
    with needed_for("frcnn tune", "tune"):
        from frcnn.api.tuning import tune

    result = tune(
        load_spec(args),
        args.results_dir,
        space=args.space,
        archs=args.archs,
        trials=args.trials,
        hours=args.hours,
        jobs=args.jobs,
        objectives=args.objectives,
        pruner=args.pruner,
        seed=args.seed,
        num_epochs=args.epochs,
        use_amp=args.use_amp,
        strict=args.strict,
        key=args.enc_key,
    )
    lines = [f"best: trial {result.best.number}, validation mAP {result.best.values['mAP']:.4f}"]
    lines += [f"  {setting}" for setting in result.settings]
    if len(args.objectives) > 1:
        lines += [f"front: trial {each.number} {_values(each.values)}" for each in result.front]
    lines += [
        f"spec: {result.spec}",
        f"model: {result.model}",
        f"report: {result.report}",
        f"table: {result.table}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return {"kpi": {"mAP": result.best.values["mAP"], "trials": len(result.trials)}}


def _values(values: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in values.items())


def _elsewhere() -> dict[str, Any]:
    """Returns the entry points of other places to run trials in, such as `katib`, by name."""
    return {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
