"""`frcnn spec new`: writes conversion and experiment specs that fit a data set."""

import argparse
import sys
from pathlib import Path

from frcnn.cli.shared_flags import add_epochs_flag, add_exif_flag, add_output_flag
from frcnn.console.foreign_text import printable

HELP = "Write conversion and experiment specs that fit a data set; comments give the reason for each choice."
EXAMPLES = """\
  frcnn spec new --data my_data -o runs/mine
  frcnn spec new --data my_data -o runs/mine --goal edge --epochs 30
  frcnn spec new --data my_data -o runs/mine --size 384 640
  frcnn spec new --data my_data -o runs/mine --pretrained resnet50.safetensors
Folders, lists of names or annotation files called train, val and test are used as such. Otherwise a fifth of
the images is held out for validation.
"""

GOALS = ("accuracy", "speed", "edge")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    add = parser.add_argument
    add(
        "--data",
        required=True,
        metavar="SOURCE",
        help="data set: KITTI folder, COCO file or folder, or records; path or s3:// URI",
    )
    add_output_flag(parser, "folder of the new specs")
    add("--goal", choices=GOALS, default="accuracy", help="what matters most (default: accuracy)")
    add(
        "--size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="network input, px (default: images are reduced as far as small objects allow)",
    )
    add("--arch", metavar="NAME", help="backbone (default: by goal, or by the name of the weights)")
    add("--pretrained", type=Path, metavar="FILE", help="pretrained weights to start from")
    add_epochs_flag(parser, "epochs (default: by the number of images)")
    add("--images", metavar="DIR", help="folder of the images, if it is not found")
    add("--force", action="store_true", help="replace specs that exist")
    add_exif_flag(parser)


def run(args: argparse.Namespace) -> None:
    """Writes the specs and prints the commands that use them."""
    from frcnn.api.new_specs import new_spec

    found = new_spec(
        args.data,
        args.output,
        arch=args.arch,
        pretrained=args.pretrained,
        goal=args.goal,
        size=None if args.size is None else (args.size[0], args.size[1]),
        num_epochs=args.epochs,
        images=args.images,
        force=args.force,
        apply_exif=args.apply_exif,
        workers=None,
    )
    wrote = [f"wrote {path}" for path in (*(spec for spec, _ in found.conversions), found.experiment)]
    lines = [*found.summary.splitlines(), "", *wrote, "", "Next:", *found.commands]
    sys.stdout.write("\n".join(printable(line, None) for line in lines) + "\n")
