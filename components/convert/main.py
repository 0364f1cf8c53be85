"""Makes records that hold their images from a data set's labels and images."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.spec import DatasetExportConfig
    from frcnn.steps.kfp_output import Metadata

PREFIX = "set"


def parser() -> argparse.ArgumentParser:
    """The command line; `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="convert", description=__doc__)
    flags.add_argument("--data", required=True, help="folder with the data set, or s3://bucket/prefix")
    flags.add_argument(
        "--convert-spec", default="", help="text or file; empty: KITTI layout, a fifth is held out"
    )
    flags.add_argument("--data-version", default="", help="only told to KFP's cache, and noted")
    flags.add_argument("--records", type=Path, required=True, help="folder to write the records to")
    flags.add_argument("--records-kept-at", default="", help="URI from which other steps read the records")
    flags.add_argument("--records-uri", type=Path, help="file to write that URI to")
    flags.add_argument("--metrics", type=Path, help="file for the numbers that the UI shows")
    flags.add_argument("--executor-input", metavar="JSON", help="what KFP puts in place of {{$}}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Converts."""
    from frcnn.data.conversion.convert import convert
    from frcnn.steps.run import write_parameter
    from frcnn.storage.local_copy import local_copy

    data = local_copy(args.data, "convert --data")
    report = convert(_spec(data, args.convert_spec), args.records / PREFIX, embed_images=True)
    write_parameter(args.records_uri, args.records_kept_at or args.records)
    counts = {
        "images": report.images,
        "images skipped": report.images_skipped,
        "boxes skipped": report.boxes_skipped,
        **{f"boxes of {name}": count for name, count in sorted(report.boxes.items())},
    }
    return {"records": {**counts, "data_version": args.data_version}, "metrics": counts}


def _spec(data: Path, given: str) -> "DatasetExportConfig":
    from frcnn.data.conversion.kitti.layout import layout
    from frcnn.spec.overrides import dataset_export_given, kitti_export, with_root

    if given:
        return with_root(dataset_export_given(given), data)
    return kitti_export(data, *layout(data))


if __name__ == "__main__":
    sys.exit(main())
