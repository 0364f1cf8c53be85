"""`frcnn dataset_convert`: converts labels and images to TFRecords."""

import argparse
from pathlib import Path

from frcnn.cli.shared_flags import add_exif_flag
from frcnn.cli.spec_flags import add_set_flag, load_convert_spec

HELP = "Convert a KITTI or COCO data set to TFRecords."
EXAMPLES = """\
  frcnn dataset_convert -d kitti_convert.txt -o records/kitti
  frcnn dataset_convert -d coco_convert.txt -o records/coco --embed_images -r results
  frcnn dataset_convert -d kitti_convert.txt -o records/kitti --strict
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.add_argument(
        "-d",
        "--dataset_export_spec",
        "--dataset_spec",
        type=Path,
        required=True,
        metavar="FILE",
        help="spec of the data set and its split (DatasetExportConfig, protobuf text)",
    )
    add_set_flag(parser, "kitti_config.val_split=10")
    parser.add_argument(
        "-o",
        "--output_filename",
        type=Path,
        required=True,
        metavar="PREFIX",
        help="prefix of the record files; fold and shard numbers are appended",
    )
    parser.add_argument(
        "-f",
        "--validation_fold",
        type=int,
        metavar="N",
        help="fold that sample_modifier_config does not change",
    )
    parser.add_argument("-r", "--results_dir", type=Path, metavar="DIR", help="folder for status.json")
    parser.add_argument(
        "--strict", action="store_true", help="fail on any invalid label or image and write nothing"
    )
    parser.add_argument(
        "--embed_images",
        action="store_true",
        help="store the image files in the records, so that training needs no image folder",
    )
    add_exif_flag(parser)
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")


def run(args: argparse.Namespace) -> None:
    """Converts the data set and prints counts of written and skipped items."""
    from frcnn.api.converting import convert
    from frcnn.cli.convert_summary import show
    from frcnn.console.status_file import StatusWriter
    from frcnn.survey.wording import counted

    report = convert(
        load_convert_spec(args.dataset_export_spec, args.settings),
        args.output_filename,
        validation_fold=args.validation_fold,
        strict=args.strict,
        embed_images=args.embed_images,
        apply_exif=args.apply_exif,
        workers=args.workers,
    )
    if args.results_dir is not None:
        StatusWriter(args.results_dir).write(
            "RUNNING",
            f"{counted(report.images, 'image')} converted",
            kpi={
                "num_images": report.images,
                "num_images_skipped": report.images_skipped,
                "num_boxes_skipped": report.boxes_skipped,
            },
            categorical={"num_objects": dict(sorted(report.boxes.items()))},
        )
    show(report)
