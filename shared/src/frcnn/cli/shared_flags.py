"""Flags that several commands have: model, output folder, number of epochs, and `--apply_exif`."""

import argparse
from pathlib import Path

# Wherever a command loads a trained model.
OR_RESULTS = "or a results folder for its best checkpoint"


def add_model_flag(parser: argparse.ArgumentParser, text: str) -> None:
    """Adds `-m`, the model, which is required; `text` is its help."""
    parser.add_argument("-m", "--model", type=Path, required=True, metavar="FILE", help=text)


def add_output_flag(parser: argparse.ArgumentParser, text: str) -> None:
    """Adds `-o`, the output folder, which is required; `text` is its help."""
    names = ("-o", "--output_dir", "--output")
    parser.add_argument(*names, dest="output", type=Path, required=True, metavar="DIR", help=text)


def add_epochs_flag(parser: argparse.ArgumentParser, text: str) -> None:
    """Adds `--epochs`; `text` is its help."""
    parser.add_argument("--epochs", "--num_epochs", dest="epochs", type=int, metavar="N", help=text)


def add_exif_flag(parser: argparse.ArgumentParser) -> None:
    """Adds `--apply_exif` to a command that reads labels."""
    parser.add_argument(
        "--apply_exif",
        action="store_true",
        help="rotate images by their EXIF orientation; for labels drawn in a viewer that does the same",
    )
