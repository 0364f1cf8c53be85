"""The flags of `frcnn export` that are about INT8: where ranges come from, and where they are written to."""

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.api.exporting import Int8

_BATCHES, _BATCH_SIZE = 10, 16  # the reference's


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags."""
    add = parser.add_argument_group("INT8").add_argument
    add(
        "--int8_profile",
        choices=("cpu", "tensorrt"),
        help="form of the quantised graph (default: cpu; with --graph plugin tensorrt)",
    )
    add(
        "--cal_method",
        choices=("minmax", "entropy", "percentile"),
        help="how the range of a tensor is found from its values (default: minmax)",
    )
    add(
        "--cal_image_dir",
        type=Path,
        metavar="DIR",
        help="calibrate on images of this folder, chosen at random",
    )
    add(
        "--cal_data_file",
        type=Path,
        metavar="FILE",
        help="HDF5 file of calibration images: read if it exists, else written",
    )
    add("--batches", type=int, metavar="N", help=f"batches to calibrate on (default: {_BATCHES})")
    add("--batch_size", type=int, metavar="N", help=f"images in each of them (default: {_BATCH_SIZE})")
    add(
        "--cal_cache_file", type=Path, metavar="FILE", help="write the ranges as TensorRT's calibration cache"
    )
    add(
        "--cal_json_file",
        type=Path,
        metavar="FILE",
        help="write the ranges as JSON (required for a model of quantisation-aware training)",
    )
    add("--force_ptq", action="store_true", help="calibrate even if training has learnt ranges")


def options(args: argparse.Namespace) -> "Int8":
    """Returns what the flags say; those that were left out have the defaults of the API.

    Raises:
        UsageError: A number below 1.
    """
    from frcnn.api.exporting import Int8

    names = [field.name for field in dataclasses.fields(Int8)]
    return Int8(**{name: getattr(args, name) for name in names if getattr(args, name) is not None})
