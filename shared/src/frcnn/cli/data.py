"""`frcnn data`: reports what is in a data set, and converts labels between formats."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.cli.spec_flags import add_set_flag
from frcnn.console.foreign_text import printable
from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.spec import Experiment

HELP = "Show what is in a data set and what is wrong with it, or convert its labels to another format."
EXAMPLES = """\
  frcnn data report my_data -o report                   KITTI folder, COCO file or folder, or records
  frcnn data report my_data -o report -e spec.txt       also judges network input, anchors and classes
  frcnn data report data/train data/val -o report       side by side
  frcnn data report s3://bucket/my_data -o report
  frcnn data labels yolo_data kitti_data --to kitti     from and to KITTI, COCO, Pascal VOC and YOLO
"""

ACTIONS = ("report", "labels")
FORMATS = ("kitti", "coco", "voc", "yolo")
# Flags that belong to one action.
_ONLY = {
    "report": ("output", "experiment_spec", "compare", "workers"),
    "labels": ("to", "source_format", "classes", "copy_images"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command.

    Args:
        parser: Parser of the command.
    """
    add = parser.add_argument
    add("action", choices=ACTIONS, help="action: report SOURCE ..., or labels SOURCE TARGET")
    add("places", nargs="+", metavar="PLACE", help="data set, path or s3:// URI; for labels also the target")
    add("--images", metavar="DIR", help="folder of the images, if it is not found")
    report = parser.add_argument_group("report")
    report.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="folder of report.html and report.json"
    )
    report.add_argument(
        "-e", "--experiment_spec", type=Path, metavar="FILE", help="experiment spec to judge the data for"
    )
    add_set_flag(report)
    report.add_argument(
        "--compare",
        type=int,
        metavar="N",
        help="images to compare by their looks, evenly spaced; 0: none (default: 20000)",
    )
    report.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    labels = parser.add_argument_group("labels")
    labels.add_argument("--to", choices=FORMATS, help="format of the target")
    labels.add_argument(
        "--from", dest="source_format", choices=FORMATS, help="format of the source (default: detected)"
    )
    labels.add_argument("--classes", metavar="FILE", help="class names of YOLO labels, one per line")
    labels.add_argument(
        "--copy_images", action="store_true", default=None, help="copy the images instead of linking them"
    )


def run(args: argparse.Namespace) -> None:
    """Runs the action and prints its result.

    Args:
        args: Parsed flags.

    Raises:
        UsageError: A flag is missing or belongs to the other action.
    """
    for action, flags in _ONLY.items():
        for flag in flags:
            if action != args.action and getattr(args, flag) is not None:
                name = "from" if flag == "source_format" else flag
                raise UsageError(f"--{name} belongs to data {action}, not to data {args.action}")
    if args.action == "report":
        _report(args)
    else:
        _labels(args)


def _report(args: argparse.Namespace) -> None:
    from frcnn.api.surveying import data_report

    if args.output is None:
        raise UsageError("data report needs -o, the folder for report.html and report.json")
    found = data_report(
        args.places,
        args.output,
        spec=_spec(args),
        images=args.images,
        compare=20_000 if args.compare is None else args.compare,
        workers=args.workers,
    )
    lines = [f"{found.images} images, {sum(found.objects.values())} objects:"]
    lines += [f"  {printable(name)}: {count}" for name, count in found.objects.items()]
    lines += [f"{each.weight}: {printable(each.text, None)}" for each in found.findings]
    if not found.findings:
        lines.append("No findings: nothing in this data set is likely to hurt a training.")
    sys.stdout.write("\n".join([*lines, f"report: {printable(found.page, None)}"]) + "\n")


def _spec(args: argparse.Namespace) -> "Experiment | None":
    if args.experiment_spec is None:
        if args.settings:
            raise UsageError("--set needs -e, the spec whose field it sets")
        return None
    from frcnn.spec import load_experiment

    return load_experiment(args.experiment_spec, args.settings)


def _labels(args: argparse.Namespace) -> None:
    from frcnn.api.label_formats import convert_labels

    if len(args.places) != 2:
        raise UsageError(f"data labels takes SOURCE and TARGET, found {len(args.places)} places")
    if args.to is None:
        raise UsageError(f"data labels needs --to, the format of the target: {', '.join(FORMATS)}")
    done = convert_labels(
        args.places[0],
        args.places[1],
        args.to,
        source_format=args.source_format,
        classes=args.classes,
        images=args.images,
        copy_images=bool(args.copy_images),
    )
    lines = [f"{done.images} images, {done.objects} objects: {printable(done.folder, None)} ({done.format})"]
    lines += [f"lost: {printable(loss, None)}" for loss in done.losses]
    lines += [f"skipped: {printable(each, None)}" for each in done.skipped]
    sys.stdout.write("\n".join(lines) + "\n")
