"""`frcnn demo-data`: draws a small synthetic data set."""

import argparse
import sys
from pathlib import Path

HELP = "Draw a small synthetic data set in KITTI layout: circles, squares and triangles."
EXAMPLES = """\
  frcnn demo-data -o demo/data
  frcnn demo-data -o demo/data --images 1000 --height 384 --width 1248
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.add_argument("-o", "--output_dir", type=Path, required=True, metavar="DIR", help="output folder")
    parser.add_argument("--images", type=int, default=240, metavar="N", help="images to draw (default: 240)")
    parser.add_argument("--seed", type=int, default=42, metavar="N", help="random seed (default: 42)")
    parser.add_argument("--height", type=int, default=240, metavar="PX", help="image height (default: 240)")
    parser.add_argument("--width", type=int, default=320, metavar="PX", help="image width (default: 320)")


def run(args: argparse.Namespace) -> None:
    """Draws the data set and prints its path."""
    from frcnn.demo.dataset import write_demo_data

    write_demo_data(args.output_dir, images=args.images, seed=args.seed, height=args.height, width=args.width)
    sys.stdout.write(f"{args.images} synthetic images and their labels: {args.output_dir}\n")
