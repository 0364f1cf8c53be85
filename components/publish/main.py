"""Replaces the published model, as a whole."""

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
    """The command line; `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="publish", description=__doc__)
    flags.add_argument("--exported", type=Path, required=True, help="what export wrote")
    flags.add_argument("--report", type=Path, required=True, help="what evaluate wrote about it")
    flags.add_argument("--published", required=True, help="folder or s3:// URI")
    flags.add_argument("--metrics", type=Path, help="file for the numbers that the UI shows")
    flags.add_argument("--executor-input", metavar="JSON", help="what KFP puts in place of {{$}}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Publishes."""
    from frcnn.steps.publishing import publish

    folders = (args.exported, args.report)
    publish(folders, args.published)
    log.info("published: %s", args.published)
    size = sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())
    return {"metrics": {"published": args.published, "bytes": size}}


if __name__ == "__main__":
    sys.exit(main())
