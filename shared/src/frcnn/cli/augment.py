"""`frcnn augment preview`: draws augmented training images of a spec in one image."""

import argparse
import sys
from pathlib import Path

from frcnn.cli.spec_flags import add_spec_flags, load_spec

HELP = "Show the effect of augmentation on training images."
EXAMPLES = """\
  frcnn augment preview -e spec.txt -o preview            preview/augmentation.png: 4 images, 5 variants each
  frcnn augment preview -e spec.txt -o preview --num_images 8 --num_variants 3
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.add_argument("action", choices=("preview",), help="action")
    add_spec_flags(parser)
    parser.add_argument(
        "-o", "--output_dir", type=Path, required=True, metavar="DIR", help="folder for augmentation.png"
    )
    parser.add_argument(
        "--num_images", type=_positive, default=4, metavar="N", help="images, one per row (default: 4)"
    )
    parser.add_argument(
        "--num_variants", type=_positive, default=5, metavar="N", help="variants per image (default: 5)"
    )


def run(args: argparse.Namespace) -> None:
    """Writes the contact sheet and prints its path."""
    from frcnn.api.locations import local_output

    path = local_output(args.output_dir / "augmentation.png", "output_dir")  # before TensorFlow is imported
    from frcnn.data.input.preview import preview_samples
    from frcnn.drawing.boxes import annotate
    from frcnn.drawing.contact_sheet import contact_sheet
    from frcnn.drawing.image_output import save_image
    from frcnn.files import atomic_path
    from frcnn.settings.data import data_settings

    spec = load_spec(args)
    rows = preview_samples(data_settings(spec), args.num_images, args.num_variants)
    pictures = [[annotate(s.pixels, s.boxes, s.classes) for s in row] for row in rows]
    headings = ["original", *(f"variant {number + 1}" for number in range(args.num_variants))]
    with atomic_path(path) as temporary:
        save_image(contact_sheet(pictures, headings, spec.class_names), temporary)
    sys.stdout.write(f"contact sheet: {path}\n")
    if not spec.training_config.enable_augmentation:
        sys.stdout.write("note: training_config.enable_augmentation is false: training does not augment\n")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 or more")
    return number
