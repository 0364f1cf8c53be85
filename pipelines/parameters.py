"""Run parameters that are numbers or names, each with a flag for local and cluster runs."""

import argparse
import dataclasses
import math
from collections.abc import Mapping
from urllib.parse import urlsplit

from frcnn.errors import UsageError
from frcnn.steps.places import as_s3, folder_or_s3
from frcnn.steps.quality_gate import Gate

PRECISIONS = ("fp32", "fp16", "int8")
TRAIN_PRECISIONS = ("fp32", "mixed")
_MIN = {"epochs": 0, "retrain_epochs": 0, "num_workers": 1, "min_workers": 0, "gpus_per_worker": 0}


@dataclasses.dataclass(frozen=True)
class Parameter:
    """Parameter of the pipeline.

    Attributes:
        name: Name of the parameter and of its flag.
        default: Default value.
        metavar: Placeholder of the value in the help; unused for a truth value, whose flag takes none.
        help: Help text.
    """

    name: str
    default: bool | int | float | str
    metavar: str
    help: str


# The defaults equal those of pipelines.faster_rcnn, as a test checks.
EVERYWHERE = (
    Parameter("apply_exif", False, "", "labels refer to images rotated by their EXIF orientation"),
    Parameter("epochs", 0, "N", "epochs of the training (default: as in the spec)"),
    Parameter("retrain_epochs", 0, "N", "epochs of the training after pruning (default: as in the spec)"),
    Parameter("train_precision", "fp32", "P", "fp32, or mixed: layers compute in 16 bits (default: fp32)"),
    Parameter("prune_threshold", 0.1, "T", "norm below which filters are removed (default: 0.1)"),
    Parameter(
        "target_params",
        0.0,
        "SHARE",
        "largest fraction of parameters to keep; 0: use the threshold (default: 0)",
    ),
    Parameter("minimum_map", 0.3, "AP", "minimum mAP to continue, 0 to 1 (default: 0.3)"),
    Parameter("tolerance", 0.02, "AP", "accepted loss of mAP by pruning (default: 0.02)"),
    Parameter(
        "export_precision", "fp32", "P", f"precision of export: {', '.join(PRECISIONS)} (default: fp32)"
    ),
    Parameter(
        "publish_to",
        "",
        "PLACE",
        "folder or s3:// URI to publish to, if the model is not worse (default: none)",
    ),
    Parameter(
        "publish_tolerance", 0.0, "AP", "accepted loss of mAP compared with the published model (default: 0)"
    ),
    Parameter(
        "webhook", "", "URL", "URL that receives JSON when the run ends (default: FRCNN_WEBHOOK, or none)"
    ),
)


def add_flags(flags: argparse.ArgumentParser, parameters: tuple[Parameter, ...] = EVERYWHERE) -> None:
    """Adds a flag for each parameter.

    Args:
        flags: Parser to extend.
        parameters: Parameters to add.
    """
    for each in parameters:
        if isinstance(each.default, bool):
            flags.add_argument(f"--{each.name}", action="store_true", help=each.help)
            continue
        flags.add_argument(
            f"--{each.name}",
            type=type(each.default),
            default=each.default,
            metavar=each.metavar,
            help=each.help,
        )


def given(
    args: argparse.Namespace, parameters: tuple[Parameter, ...] = EVERYWHERE
) -> dict[str, bool | int | float | str]:
    """Returns the values of the parameters after validation.

    Args:
        args: Parsed flags of `add_flags`.
        parameters: Parameters that were added.

    Returns:
        Values by name.

    Raises:
        UsageError: A value is out of range.
    """
    values = {each.name: getattr(args, each.name) for each in parameters}
    Gate(args.minimum_map, tolerance=args.tolerance)
    Gate(tolerance=args.publish_tolerance)
    for name, least in _MIN.items():
        if values.get(name, least) < least:
            raise UsageError(f"--{name} {values[name]}: expected {max(least, 1)} or more")
    _check_workers(values)
    for name in ("publish_to", "checkpoints"):
        if name in values:
            values[name] = folder_or_s3(str(values[name]), f"--{name}")
    values["webhook"] = _webhook(str(values["webhook"]))
    if not (math.isfinite(args.prune_threshold) and args.prune_threshold >= 0):
        raise UsageError(f"--prune_threshold {args.prune_threshold:g}: expected 0 or more, for example 0.1")
    if not 0 <= args.target_params < 1:
        raise UsageError(
            f"--target_params {args.target_params:g}: expected 0 <= fraction < 1, for example 0.15"
        )
    for name, choices in (("train_precision", TRAIN_PRECISIONS), ("export_precision", PRECISIONS)):
        if (value := getattr(args, name)) not in choices:
            raise UsageError(f"--{name} {value}: expected one of {', '.join(choices)}")
    return values


def _check_workers(values: Mapping[str, bool | int | float | str]) -> None:
    """Checks the parameters of trainings in several pods, which would otherwise fail after the conversion.

    Raises:
        UsageError: They do not fit together.
    """
    fewest, most = int(values.get("min_workers", 0)), int(values.get("num_workers", 1))
    if fewest > most:
        raise UsageError(f"--min_workers {fewest}: expected at most the {most} of --num_workers")
    if values.get("step_gpus", "0") not in ("0", "1"):
        raise UsageError(
            f"--step_gpus {values['step_gpus']}: expected 0 or 1. For more GPUs, use --num_workers and "
            "--gpus_per_worker."
        )
    if most == 1 and values.get("gpus_per_worker", 0) and values.get("step_gpus", "0") == "0":
        raise UsageError(
            f"--gpus_per_worker {values['gpus_per_worker']}: only for several workers. Use --num_workers 2 "
            "or more, or --step_gpus 1 to train with one GPU in the step's own pod."
        )
    if most > 1 and values.get("step_gpus", "0") != "0":
        raise UsageError(
            "--step_gpus 1: only for one worker; the step's own pod does not train. Use --gpus_per_worker."
        )
    if most > 1 and not as_s3(str(values["checkpoints"]).strip()):
        raise UsageError(
            f"--num_workers {most} requires --checkpoints on S3, where workers store results: "
            "s3://bucket/prefix"
        )


def _webhook(given: str) -> str:
    """Returns the URL without blanks around it; the error does not show it, because it may hold a secret."""
    url = given.strip()
    if url and not (urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname):
        raise UsageError("--webhook: expected a URL that begins with http:// or https://")
    return url
