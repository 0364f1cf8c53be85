"""Compares a model's mAP with that of the published model."""

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
    """The command line; `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="compare", description=__doc__)
    flags.add_argument("--mean-ap", type=float, required=True, help="the model's mAP, 0 to 1")
    flags.add_argument("--published", default="", help="folder or s3:// URI; empty: nothing is published")
    flags.add_argument("--tolerance", type=float, default=0.0, help="how far below that is good enough")
    flags.add_argument("--passed", type=Path, help="file to write true or false to")
    flags.add_argument("--metrics", type=Path, help="file for the numbers that the UI shows")
    flags.add_argument("--executor-input", metavar="JSON", help="what KFP puts in place of {{$}}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Compares."""
    from frcnn.steps.publishing import published_map
    from frcnn.steps.quality_gate import Gate
    from frcnn.steps.run import write_parameter

    if not args.published:
        log.info("nothing is published: the run names no place for it")
        write_parameter(args.passed, False)
        return {"metrics": {"mAP": args.mean_ap, "publish": False}}
    former = published_map(args.published)
    objections = Gate(baseline=former, tolerance=args.tolerance).objections(args.mean_ap)
    log.info("%s: %s", args.published, "no model yet" if former is None else f"a model of mAP {former:.4f}")
    log.info("%s", f"stays: {'; '.join(objections)}" if objections else "is replaced")
    write_parameter(args.passed, not objections)
    numbers = {"mAP": args.mean_ap, "publish": not objections, "objections": "; ".join(objections)}
    return {"metrics": numbers if former is None else {**numbers, "published mAP": former}}


if __name__ == "__main__":
    sys.exit(main())
