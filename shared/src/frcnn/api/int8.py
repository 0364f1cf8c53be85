"""INT8 of `frcnn.export`: source of the ranges, and the files to write them to."""

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from frcnn.api.booleans import check_boolean
from frcnn.api.locations import Location, local_folder, local_output
from frcnn.data.settings import DataSettings
from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.exporting.exporter import Calibration, Exported, ExportOptions
    from frcnn.exporting.int8.qdq import Ranges
    from frcnn.exporting.int8.trained_ranges import TrainedRanges

log = logging.getLogger(__name__)

# Fields of Int8 that are ignored unless ranges are measured.
_INPUTS = ("cal_image_dir", "cal_data_file", "batches", "batch_size", "cal_method", "int8_profile")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Int8:
    """Source of the ranges of an INT8 export, and additional files to write them to.

    Attributes:
        int8_profile: Form of the graph: `cpu` gives the same results on every CPU, `cpu_vnni` has finer
            weights for CPUs with VNNI, `tensorrt` is for TensorRT. Default `cpu`, for the plugin graph or
            with an engine `tensorrt`.
        cal_method: Method that derives the range of a tensor from its values.
        cal_image_dir: Folder to choose calibration images from at random; by default training images are
            used.
        cal_data_file: HDF5 file of calibration images: read if it exists, otherwise written.
        batches: Number of calibration batches.
        batch_size: Number of images per calibration batch.
        cal_cache_file: File to write the ranges to as TensorRT's calibration cache.
        cal_json_file: File to write the ranges to as JSON; required for models of quantization-aware
            training.
        force_ptq: Whether to calibrate even if the model has learned ranges.
    """

    int8_profile: Literal["cpu", "cpu_vnni", "tensorrt"] | None = None
    cal_method: Literal["minmax", "entropy", "percentile"] = "minmax"
    cal_image_dir: Location | None = None
    cal_data_file: Location | None = None
    batches: int = 10
    batch_size: int = 16
    cal_cache_file: Location | None = None
    cal_json_file: Location | None = None
    force_ptq: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError if `batches` or `batch_size` is below 1, or `force_ptq` is not a boolean."""
        check_boolean(self.force_ptq, "force_ptq")
        for name in ("batches", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} {getattr(self, name)}: expected 1 or more", argument=name)

    def files(self) -> tuple[Path, ...]:
        """Returns the additional files that are written."""
        given_files = (("cal_cache_file", self.cal_cache_file), ("cal_json_file", self.cal_json_file))
        return tuple(local_output(each, name) for name, each in given_files if each is not None)


def check_images(int8: Int8) -> None:
    """Checks that the folder of calibration images exists if it is going to be read.

    Args:
        int8: Source of the ranges.

    Raises:
        UsageError: The folder does not exist.
    """
    if int8.cal_image_dir is not None and not _has_stored_images(int8):
        local_folder(int8.cal_image_dir, "cal_image_dir")


def calibration(
    data: DataSettings, options: "ExportOptions", int8: Int8, trained: "TrainedRanges | None"
) -> "Calibration | None":
    """Returns a function that measures the ranges of a graph.

    Args:
        data: Images of the training set.
        options: Options of the export.
        int8: Source of the ranges.
        trained: Ranges that quantization-aware training learned; None without such training.

    Returns:
        The function; None if no ranges are needed or training learned them.

    Raises:
        UsageError: `cal_json_file` is missing for learned ranges, or the model has no fixed input size.
    """
    if trained is not None and int8.cal_json_file is None:
        raise UsageError(
            "cal_json_file is missing: the model was trained with quantization (enable_qat). Name a file for "
            "its ranges, or set force_ptq to calibrate instead.",
            argument="cal_json_file",
        )
    if trained is not None or not (options.precision == "int8" or int8.cal_cache_file is not None):
        _warn_of_options_without_effect(int8, options.precision, learned=trained is not None)
        return None
    from frcnn.exporting.int8.calibration import calibrate
    from frcnn.exporting.int8.calibration_images import CalibrationImages

    if data.image.dynamic:
        raise UsageError(
            "INT8 needs a fixed input size, because a runtime computes it wrongly otherwise; "
            "this model has a dynamic shape (size_min). Export it as fp32 or fp16."
        )
    images = CalibrationImages(int8.batches, int8.batch_size, _image_dir(int8), _data_file(int8))

    def measure(graph: Any) -> "Ranges":
        return calibrate(graph, images.load(data), images.count, int8.cal_method)

    return measure


def _warn_of_options_without_effect(int8: Int8, precision: str, *, learned: bool) -> None:
    defaults = Int8()
    names = [name for name in _INPUTS if getattr(int8, name) != getattr(defaults, name)]
    if learned and precision == "int8":
        names = [name for name in names if name != "int8_profile"]
    elif not learned and int8.cal_json_file is not None:
        names.append("cal_json_file")
    if names:
        reason = "the model has learned ranges" if learned else "only INT8 or cal_cache_file needs ranges"
        log.warning("Ignoring %s: %s", ", ".join(names), reason)


def _image_dir(int8: Int8) -> Path | None:
    if int8.cal_image_dir is None:
        return None
    if _has_stored_images(int8):
        log.warning("Ignoring cal_image_dir: %s already contains the calibration images", int8.cal_data_file)
        return None
    return local_folder(int8.cal_image_dir, "cal_image_dir")


def _has_stored_images(int8: Int8) -> bool:
    stored = _data_file(int8)
    return stored is not None and stored.exists()


def _data_file(int8: Int8) -> Path | None:
    return None if int8.cal_data_file is None else local_output(int8.cal_data_file, "cal_data_file")


def write_ranges(exported: "Exported", int8: Int8) -> list[Path]:
    """Writes the additional files of an INT8 export.

    Args:
        exported: Exported model with its ranges.
        int8: Names of the files.

    Returns:
        The files; empty without ranges.
    """
    from frcnn.exporting.int8.scale_files import tensor_limits, write_cache, write_scales

    if not exported.ranges:
        return []
    limits = tensor_limits(exported.proto, exported.ranges)
    if int8.cal_cache_file is not None:
        write_cache(local_output(int8.cal_cache_file, "cal_cache_file"), limits)
    if int8.cal_json_file is not None:
        write_scales(local_output(int8.cal_json_file, "cal_json_file"), limits)
    return list(int8.files())
