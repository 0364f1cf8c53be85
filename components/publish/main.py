"""Replaces the published model atomically."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.steps.kfp_output import Metadata

log = logging.getLogger("frcnn.step.publish")


def parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line. `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="publish", description=__doc__)
    flags.add_argument("--exported", type=Path, required=True, help="output folder of export")
    flags.add_argument("--report", type=Path, required=True, help="output folder of evaluate")
    flags.add_argument("--published", required=True, help="folder or s3:// URI to publish to")
    flags.add_argument("--metrics", type=Path, help="output file for the metrics shown in the UI")
    flags.add_argument("--executor-input", metavar="JSON", help="value of the KFP placeholder {{$}}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Publishes the model and its report."""
    from frcnn.steps.places import folder_or_s3
    from frcnn.steps.publishing import publish

    folders, place = (args.exported, args.report), folder_or_s3(args.published, "--published")
    publish(folders, place)
    log.info("Published %s", place)
    size = sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())
    return {"metrics": {"published": place, "bytes": size}}


if __name__ == "__main__":
    sys.exit(main())
