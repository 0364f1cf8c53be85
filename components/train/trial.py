"""Training as a trial of a tuner such as Katib: flags of the chosen values, and lines with the mAP."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.training.callbacks.metric_lines import MetricLines


def add_training_flags(flags: argparse.ArgumentParser) -> None:
    """Adds the flags of a training and of a trial, which the step and its workers share."""
    flags.add_argument(
        "--epochs", type=int, default=0, help="number of epochs; 0: as in the spec (default: 0)"
    )
    flags.add_argument(
        "--precision",
        choices=("fp32", "mixed"),
        default="fp32",
        help="precision of layers; mixed: 16 bits, bfloat16 on CPUs and float16 on GPUs (default: fp32)",
    )
    flags.add_argument("--space", default="", help="search space, protobuf text, of which this is a trial")
    flags.add_argument(
        "--choice",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="chosen value of a field of the search space; can be repeated",
    )
    flags.add_argument(
        "--report-metric",
        action="store_true",
        help="print a line validation_mAP=VALUE after each validation, for a metrics collector",
    )


def metric_lines(args: argparse.Namespace) -> "list[MetricLines]":
    """Returns the callback that prints the metric, if it is requested and this is rank 0.

    Args:
        args: Parsed flags.
    """
    from frcnn.distributed.world import rank_info

    if not args.report_metric or rank_info().rank:
        return []
    from frcnn.training.callbacks.metric_lines import MetricLines

    return [MetricLines()]


def print_earlier(lines: "Sequence[MetricLines]", checkpoint: Path | None, key: str) -> None:
    """Prints the epochs of earlier attempts, whose logs were lost with their pods.

    Args:
        lines: Callbacks of `metric_lines`.
        checkpoint: Last checkpoint.
        key: Key of the checkpoint.
    """
    if checkpoint is None:
        return
    from frcnn.model.files.training_record import read_record

    for each in lines:
        each.finish(read_record(checkpoint, key).history)
