"""The flags of `frcnn export` that are about INT8: where ranges come from, and where they are written to."""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.exporting.exporter import Calibration
    from frcnn.exporting.int8.qdq import Ranges
    from frcnn.exporting.int8.trained_ranges import TrainedRanges
    from frcnn.spec import Experiment

log = logging.getLogger(__name__)

_BATCHES, _BATCH_SIZE = 10, 16  # the reference's
_INPUT_FLAGS = ("cal_image_dir", "cal_data_file", "batches", "batch_size", "cal_method", "int8_profile")


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


def output_files(args: argparse.Namespace) -> list[Path]:
    """What is written beside the model."""
    return [path for path in (args.cal_cache_file, args.cal_json_file) if path is not None]


def check(args: argparse.Namespace) -> None:
    """Faults that can be seen before anything is loaded.

    Raises:
        UsageError: A number below 1, or a folder that is not there.
    """
    for name in ("batches", "batch_size"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} {value}: expected 1 or more")
    stored = args.cal_data_file is not None and args.cal_data_file.exists()
    if args.cal_image_dir is None:
        return
    if stored:
        log.warning("--cal_image_dir: without effect, since %s exists and has the images", args.cal_data_file)
    elif not args.cal_image_dir.is_dir():
        raise UsageError(f"--cal_image_dir {args.cal_image_dir}: no such folder")


def calibration(
    args: argparse.Namespace, spec: "Experiment", trained: "TrainedRanges | None"
) -> "Calibration | None":
    """How ranges are to be measured; None if nothing asks for them, or training has learnt them.

    Raises:
        UsageError: Learnt ranges, and no file for them; or images of all sizes.
    """
    if trained is not None and args.cal_json_file is None:
        raise UsageError(
            "the model was trained with quantisation (enable_qat): name a file for its ranges with "
            "--cal_json_file, or add --force_ptq to calibrate instead"
        )
    if trained is not None or not (args.data_type == "int8" or args.cal_cache_file is not None):
        _warn_of_flags_without_effect(args, learnt=trained is not None)
        return None

    from frcnn.data.transforms.preprocess import ImageSettings
    from frcnn.exporting.int8.calibration import calibrate
    from frcnn.exporting.int8.calibration_images import CalibrationImages

    if ImageSettings.from_spec(spec).dynamic:
        raise UsageError(
            "INT8 needs a fixed input size, since a runtime gets it wrong otherwise; "
            "this model takes any (size_min): export it as fp32 or fp16"
        )
    batches = _BATCHES if args.batches is None else args.batches
    batch_size = _BATCH_SIZE if args.batch_size is None else args.batch_size
    images = CalibrationImages(batches, batch_size, args.cal_image_dir, args.cal_data_file)

    def measure(graph: Any) -> "Ranges":
        return calibrate(graph, images.load(spec), images.count, args.cal_method or "minmax")

    return measure


def write_files(args: argparse.Namespace, proto: Any, ranges: "Ranges") -> Iterator[str]:
    """Writes what the flags ask for, and yields a line about each file."""
    from frcnn.exporting.int8.scale_files import tensor_limits, write_cache, write_scales

    if not ranges:
        return
    limits = tensor_limits(proto, ranges)
    if args.cal_cache_file is not None:
        write_cache(args.cal_cache_file, limits)
        yield f"calibration cache: {args.cal_cache_file}\n"
    if args.cal_json_file is not None:
        write_scales(args.cal_json_file, limits)
        yield f"tensor scales: {args.cal_json_file}\n"


def _warn_of_flags_without_effect(args: argparse.Namespace, *, learnt: bool) -> None:
    names = [name for name in _INPUT_FLAGS if getattr(args, name) is not None]
    if learnt and args.data_type == "int8":
        names = [name for name in names if name != "int8_profile"]
    elif not learnt and args.cal_json_file is not None:
        names.append("cal_json_file")
    if names:
        reason = "the model has learnt ranges" if learnt else "only INT8 or --cal_cache_file needs ranges"
        log.warning("without effect: %s; %s", " ".join(f"--{name}" for name in names), reason)
