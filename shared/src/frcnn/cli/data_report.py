"""`frcnn data report`: shows what is in a data set, and what is wrong with it."""

import argparse
import sys
from pathlib import Path

from frcnn.cli.shared_flags import add_exif_flag, add_output_flag
from frcnn.cli.spec_flags import add_set_flag, spec_in
from frcnn.console.foreign_text import printable
from frcnn.errors import UsageError
from frcnn.survey.wording import counted

HELP = "Show what is in a data set and what is wrong with it: a page and a JSON file."
EXAMPLES = """\
  frcnn data report my_data -o report                   KITTI folder, COCO file or folder, or records
  frcnn data report my_data -o report -e spec.txt       also judges network input, anchors and classes
  frcnn data report data/train data/val -o report       side by side
  frcnn data report s3://bucket/my_data -o report
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    add = parser.add_argument
    add(
        "data",
        nargs="+",
        metavar="SOURCE",
        help="KITTI folder, COCO file or folder, records, or a dataset_convert spec; path or s3:// URI",
    )
    add_output_flag(parser, "folder of the page and the JSON file")
    add("-e", "--experiment_spec", type=Path, metavar="FILE", help="experiment spec to judge the data for")
    add_set_flag(parser)
    add("--images", metavar="DIR", help="folder of the images, if it is not found")
    add_exif_flag(parser)
    add(
        "--compare",
        type=int,
        default=20_000,
        metavar="N",
        help="images to compare for similarity, evenly spaced; 0: none (default: 20000)",
    )
    add("--workers", type=int, metavar="N", help="processes (default: one per core)")


def run(args: argparse.Namespace) -> None:
    """Writes the report and prints counts and findings."""
    from frcnn.api.data_reports import data_report

    if args.settings and args.experiment_spec is None:
        raise UsageError("--set needs -e, the spec whose field it sets")
    given = args.experiment_spec
    found = data_report(
        args.data,
        args.output,
        spec=None if given is None else spec_in(given, args.settings, remarks=True),
        images=args.images,
        apply_exif=args.apply_exif,
        compare=args.compare,
        workers=args.workers,
    )
    lines = [f"{counted(found.images, 'image')}, {counted(sum(found.objects.values()), 'object')}:"]
    lines += [f"  {printable(name)}: {count}" for name, count in found.objects.items()]
    lines += [f"{each.weight}: {printable(each.text, None)}" for each in found.findings]
    if not found.findings:
        lines.append("No findings: nothing in this data set is likely to hurt a training.")
    sys.stdout.write("\n".join([*lines, f"report: {printable(found.page, None)}"]) + "\n")
