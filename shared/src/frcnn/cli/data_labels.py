"""`frcnn data labels`: converts labels between KITTI, COCO, Pascal VOC and YOLO."""

import argparse
import sys

from frcnn.console.foreign_text import printable
from frcnn.survey.wording import counted

HELP = "Convert labels between KITTI, COCO, Pascal VOC and YOLO; losses of the target format are listed."
EXAMPLES = """\
  frcnn data labels yolo_data kitti_data --to kitti
  frcnn data labels kitti_data coco_data --to coco --copy_images
  frcnn data labels yolo_data kitti_data --to kitti --classes names.txt
  frcnn data labels voc_xml kitti_data --to kitti --images photos   images in another folder
"""

FORMATS = ("kitti", "coco", "voc", "yolo")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    add = parser.add_argument
    add("source", metavar="SOURCE", help="data set in one of the formats, or records; path or s3:// URI")
    add("target", metavar="TARGET", help="folder to create")
    add("--to", choices=FORMATS, required=True, help="format of the target")
    add("--from", dest="source_format", choices=FORMATS, help="format of the source (default: detected)")
    add("--classes", metavar="FILE", help="class names of YOLO labels, one per line (default: data.yaml)")
    add("--images", metavar="DIR", help="folder of the images, if it is not found (COCO, VOC, YOLO, records)")
    add("--copy_images", action="store_true", help="copy the images instead of linking them")


def run(args: argparse.Namespace) -> None:
    """Converts the labels and prints counts and losses."""
    from frcnn.api.label_formats import convert_labels
    from frcnn.label_formats.yolo import NAMES, SAME_IMAGES

    done = convert_labels(
        args.source,
        args.target,
        args.to,
        source_format=args.source_format,
        classes=args.classes,
        images=args.images,
        copy_images=args.copy_images,
    )
    counts = f"{counted(done.images, 'image')}, {counted(done.objects, 'object')}"
    lines = [f"{counts}: {printable(done.folder, None)} ({done.format})"]
    lines += [f"lost: {printable(loss, None)}" for loss in done.losses]
    if done.format == "yolo":
        lines.append(f"note: {NAMES} of each folder says: {SAME_IMAGES}")
    lines += [f"skipped: {printable(each, None)}" for each in done.skipped]
    sys.stdout.write("\n".join(lines) + "\n")
