"""Removes the least important filters of a model."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.steps.kfp_output import Metadata

log = logging.getLogger("frcnn.step.prune")


def parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line. `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="prune", description=__doc__)
    flags.add_argument("--model", type=Path, required=True, help="folder of the model")
    flags.add_argument(
        "--threshold", type=float, default=0.1, help="keep filters with a larger norm (default: 0.1)"
    )
    flags.add_argument(
        "--target-params",
        type=float,
        default=0.0,
        help="largest fraction of parameters to keep; 0: use --threshold (default: 0)",
    )
    flags.add_argument(
        "--granularity", type=int, default=8, help="keep a multiple of this many filters (default: 8)"
    )
    flags.add_argument(
        "--minimum-filters", type=int, default=16, help="minimum number of filters per layer (default: 16)"
    )
    flags.add_argument("--pruned", type=Path, required=True, help="output folder for the pruned model")
    flags.add_argument("--metrics", type=Path, help="output file for the metrics shown in the UI")
    flags.add_argument("--executor-input", metavar="JSON", help="value of the KFP placeholder {{$}}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Prunes the model."""
    from frcnn.api.pruning import REPORT, prune_file
    from frcnn.files import write_text
    from frcnn.pruning.settings import PruneSettings
    from frcnn.sealing.keys import resolve_key
    from frcnn.steps.run import model_file, model_name

    settings = PruneSettings(
        pruning_threshold=args.threshold,
        pruning_granularity=args.granularity,
        min_num_filters=args.minimum_filters,
        target_params=args.target_params or None,
    )
    key = resolve_key(None, None)
    result = prune_file(model_file(args.model), args.pruned / model_name(key), settings, key)
    for each in result.report.unprunable:
        log.warning("Cannot prune %s", each)
    if result.report.after == result.report.before:
        log.warning(
            "No filters were pruned: their norms are above the threshold of %g. Raise it, or set "
            "target_params, for example to 0.3.",
            args.threshold,
        )
    log.info("%s", result.report.table())
    write_text(args.pruned / REPORT, result.report.to_json())
    left = {
        "parameters left": result.report.pruning_ratio,
        "operations left": result.report.flops_ratio,
        "parameters": result.report.after.params,
    }
    return {"pruned": left, "metrics": left}


if __name__ == "__main__":
    sys.exit(main())
