"""Flag `--apply_exif` of the commands that read labels."""

import argparse


def add_exif_flag(parser: argparse.ArgumentParser) -> None:
    """Adds the flag.

    Args:
        parser: Parser to extend.
    """
    parser.add_argument(
        "--apply_exif",
        action="store_true",
        help="rotate images by their EXIF orientation; for labels drawn in a viewer that does the same",
    )
