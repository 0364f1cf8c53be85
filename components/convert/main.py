"""Converts the labels and images of a data set to records that contain the images."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.steps.kfp_output import Metadata

PREFIX = "set"

TRUTH = ("false", "true")


def parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line. `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="convert", description=__doc__)
    flags.add_argument("--data", required=True, help="folder with the data set, or s3://bucket/prefix")
    flags.add_argument(
        "--convert-spec",
        default="",
        help="conversion spec, text or file; empty: KITTI or COCO, split by its parts or at random",
    )
    flags.add_argument(
        "--apply-exif",
        type=str.lower,  # KFP writes both True and true
        choices=TRUTH,
        default="false",
        help="rotate images by their EXIF orientation: true or false (default: false)",
    )
    flags.add_argument("--data-version", default="", help="any text; a new value invalidates KFP's cache")
    flags.add_argument("--records", type=Path, required=True, help="output folder for the records")
    flags.add_argument("--records-kept-at", default="", help="URI from which other steps read the records")
    flags.add_argument("--records-uri", type=Path, help="output file for that URI")
    flags.add_argument("--metrics", type=Path, help="output file for the metrics shown in the UI")
    flags.add_argument("--page", type=Path, help="output file for a report of the data set, shown in the UI")
    flags.add_argument("--executor-input", metavar="JSON", help="value of the KFP placeholder {{$}}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Converts the data set, and suggests an experiment spec for it."""
    from frcnn.api.converting import convert
    from frcnn.api.data_reports import save_page, surveyed_conversion
    from frcnn.steps.default_conversion import conversion_given
    from frcnn.steps.places import folder_or_s3
    from frcnn.steps.run import write_parameter
    from frcnn.steps.suggested_spec import write_suggestion
    from frcnn.storage.local_copy import local_copy

    data = local_copy(folder_or_s3(args.data, "convert --data"), "convert --data")
    kept_at = args.records_kept_at or str(args.records)
    with tempfile.TemporaryDirectory(prefix="frcnn-convert-") as scratch:
        spec = conversion_given(args.convert_spec, data, Path(scratch), args.data)
        report = convert(
            spec, args.records / PREFIX, embed_images=True, apply_exif=args.apply_exif == "true", workers=None
        )
        with surveyed_conversion(
            spec, name=args.data, folder=data, apply_exif=args.apply_exif == "true", workers=None
        ) as tables:
            write_suggestion(tables, args.records, args.data, kept_at)
            if args.page:
                # Images are not compared, since that decodes every one of them.
                save_page(tables, args.page, compare=0)
    write_parameter(args.records_uri, kept_at)
    counts = {
        "images": report.images,
        "images skipped": report.images_skipped,
        "boxes skipped": report.boxes_skipped,
        **{f"boxes of {name}": count for name, count in sorted(report.boxes.items())},
    }
    return {"records": {**counts, "data_version": args.data_version}, "metrics": counts}


if __name__ == "__main__":
    sys.exit(main())
