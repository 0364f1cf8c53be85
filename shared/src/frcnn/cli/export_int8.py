"""INT8 flags of `frcnn export`: source of the value ranges and files to write them to."""

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.api.int8 import Int8

_BATCHES, _BATCH_SIZE = 10, 16  # as in TAO


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags."""
    add = parser.add_argument_group("INT8").add_argument
    add(
        "--int8_profile",
        choices=("cpu", "cpu_vnni", "tensorrt"),
        help="target of the quantized graph: any CPU, CPUs with VNNI, or TensorRT "
        "(default: cpu; tensorrt with --graph plugin)",
    )
    add(
        "--cal_method",
        choices=("minmax", "entropy", "percentile"),
        help="method to compute the range of a tensor from its values (default: minmax)",
    )
    add(
        "--cal_image_dir",
        type=Path,
        metavar="DIR",
        help="folder of calibration images, chosen at random (default: training images)",
    )
    add(
        "--cal_data_file",
        type=Path,
        metavar="FILE",
        help="HDF5 file of calibration images; read if it exists, otherwise written",
    )
    add("--batches", type=int, metavar="N", help=f"number of calibration batches (default: {_BATCHES})")
    add("--batch_size", type=int, metavar="N", help=f"images per calibration batch (default: {_BATCH_SIZE})")
    add(
        "--cal_cache_file", type=Path, metavar="FILE", help="write the ranges as a TensorRT calibration cache"
    )
    add(
        "--cal_json_file",
        type=Path,
        metavar="FILE",
        help="write the ranges as JSON (required for a model from quantization-aware training)",
    )
    add("--force_ptq", action="store_true", help="calibrate even if the model has ranges from training")


def options(args: argparse.Namespace) -> "Int8":
    """Returns the INT8 settings. Flags that are not given have the defaults of the API.

    Args:
        args: Parsed flags.

    Returns:
        INT8 settings.

    Raises:
        UsageError: A number is below 1.
    """
    from frcnn.api.int8 import Int8

    names = [field.name for field in dataclasses.fields(Int8)]
    return Int8(**{name: getattr(args, name) for name in names if getattr(args, name) is not None})
