"""Compares the mAP of a model with that of the published model."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.steps.kfp_output import Metadata

log = logging.getLogger("frcnn.step.compare")


def parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line. `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="compare", description=__doc__)
    flags.add_argument("--mean-ap", type=float, required=True, help="mAP of the model, 0 to 1")
    flags.add_argument(
        "--published", default="", help="folder or s3:// URI of the published model; empty: none"
    )
    flags.add_argument(
        "--tolerance", type=float, default=0.0, help="accepted loss of mAP compared with it (default: 0)"
    )
    flags.add_argument("--passed", type=Path, help="output file for the decision, true or false")
    flags.add_argument("--metrics", type=Path, help="output file for the metrics shown in the UI")
    flags.add_argument("--executor-input", metavar="JSON", help="value of the KFP placeholder {{$}}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Compares the model with the published one."""
    from frcnn.steps.places import folder_or_s3
    from frcnn.steps.publishing import published_map
    from frcnn.steps.quality_gate import Gate
    from frcnn.steps.run import write_parameter

    place = folder_or_s3(args.published, "--published")
    if not place:
        log.info("Publishing is disabled: no place to publish to is given")
        write_parameter(args.passed, False)
        return {"metrics": {"mAP": args.mean_ap, "publish": False}}
    former = published_map(place)
    objections = Gate(baseline=former, tolerance=args.tolerance).objections(args.mean_ap)
    log.info("%s: %s", place, "no model yet" if former is None else f"a model of mAP {former:.4f}")
    log.info("%s", f"Keeping it: {'; '.join(objections)}" if objections else "Replacing it")
    write_parameter(args.passed, not objections)
    numbers = {"mAP": args.mean_ap, "publish": not objections, "objections": "; ".join(objections)}
    return {"metrics": numbers if former is None else {**numbers, "published mAP": former}}


if __name__ == "__main__":
    sys.exit(main())
