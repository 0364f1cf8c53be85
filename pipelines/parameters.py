"""The parameters of a run that are numbers and names: one flag for each, here and on a cluster."""

import argparse
import dataclasses

from frcnn.errors import UsageError
from frcnn.steps.quality_gate import Gate

PRECISIONS = ("fp32", "fp16", "int8")
TRAIN_PRECISIONS = ("fp32", "mixed")
_LEAST = {"epochs": 0, "retrain_epochs": 0, "num_workers": 1, "min_workers": 0, "gpus_per_worker": 0}


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter of the pipeline: name, default, what stands for its value in the help, and the help."""

    name: str
    default: int | float | str
    metavar: str
    help: str


# Defaults are those of pipelines.faster_rcnn, which a test compares.
EVERYWHERE = (
    Parameter("epochs", 0, "N", "of the training (default: the spec's)"),
    Parameter("retrain_epochs", 0, "N", "after pruning (default: the spec's)"),
    Parameter("train_precision", "fp32", "P", "fp32, or mixed: layers compute in 16 bits (default: fp32)"),
    Parameter("prune_threshold", 0.1, "T", "more prunes more (default: 0.1)"),
    Parameter("target_params", 0.0, "SHARE", "instead of a threshold: what pruning may leave, such as 0.15"),
    Parameter("minimum_map", 0.3, "AP", "least mAP to go on (default: 0.3)"),
    Parameter("tolerance", 0.02, "AP", "how much mAP pruning may cost (default: 0.02)"),
    Parameter("export_precision", "fp32", "P", f"{', '.join(PRECISIONS)} (default: fp32)"),
    Parameter("publish_to", "", "PLACE", "folder or s3:// URI of the model in use, replaced by one as good"),
    Parameter("publish_tolerance", 0.0, "AP", "how much below its mAP is good enough (default: 0)"),
    Parameter("webhook", "", "URL", "gets JSON when the run ends"),
)


def add_flags(flags: argparse.ArgumentParser, parameters: tuple[Parameter, ...] = EVERYWHERE) -> None:
    """Adds a flag for each parameter."""
    for each in parameters:
        flags.add_argument(
            f"--{each.name}",
            type=type(each.default),
            default=each.default,
            metavar=each.metavar,
            help=each.help,
        )


def given(
    args: argparse.Namespace, parameters: tuple[Parameter, ...] = EVERYWHERE
) -> dict[str, int | float | str]:
    """The parameters' values, checked.

    Raises:
        UsageError: One that cannot be right.
    """
    values = {each.name: getattr(args, each.name) for each in parameters}
    Gate(args.minimum_map, tolerance=args.tolerance)
    Gate(tolerance=args.publish_tolerance)
    for name, least in _LEAST.items():
        if values.get(name, least) < least:
            raise UsageError(f"--{name} {values[name]}: expected {max(least, 1)} or more")
    fewest, most = values.get("min_workers", 0), values.get("num_workers", 1)
    if fewest > most:
        raise UsageError(f"--min_workers {fewest}: expected at most the {most} of --num_workers")
    if values.get("step_gpus", "0") not in ("0", "1"):
        raise UsageError(
            f"--step_gpus {values['step_gpus']}: expected 0 or 1; more of them need --num_workers and "
            "--gpus_per_worker"
        )
    if not 0 <= args.target_params < 1:
        raise UsageError(f"--target_params {args.target_params:g}: expected a share, 0 to 1, such as 0.15")
    for name, choices in (("train_precision", TRAIN_PRECISIONS), ("export_precision", PRECISIONS)):
        if (value := getattr(args, name)) not in choices:
            raise UsageError(f"--{name} {value}: expected one of {', '.join(choices)}")
    return values
