"""`frcnn.export`: exports a trained model to ONNX and builds a TensorRT engine from it."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from frcnn.api.backend import use_tensorflow
from frcnn.api.keys import resolved_key
from frcnn.api.locations import Location, local_folder, local_output, model_file
from frcnn.api.specs import SpecLike, given_spec, own_spec
from frcnn.data.settings import DataSettings
from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.errors import UsageError
from frcnn.packages import needed_for
from frcnn.progress import Progress, reported_to
from frcnn.set_switch import switched
from frcnn.settings.exporting import ExportRun, export_run
from frcnn.single_writer import only_writer_of

if TYPE_CHECKING:
    from frcnn.exporting.exporter import Calibration, Exported, ExportOptions
    from frcnn.exporting.int8.qdq import Ranges
    from frcnn.exporting.int8.trained_ranges import TrainedRanges
    from frcnn.exporting.tensorrt.engine import EngineSettings

log = logging.getLogger(__name__)

DataType = Literal["fp32", "fp16", "int8"]
SUFFIXES = (".onnx", ".etlt")
_GIB = 2**30
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
        """Raises UsageError if `batches` or `batch_size` is below 1."""
        for name in ("batches", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} {getattr(self, name)}: expected 1 or more", argument=name)

    def files(self) -> tuple[Path, ...]:
        """Returns the additional files that are written."""
        given_files = (("cal_cache_file", self.cal_cache_file), ("cal_json_file", self.cal_json_file))
        return tuple(local_output(each, name) for name, each in given_files if each is not None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Engine:
    """TensorRT engine to build from the exported file for this machine's GPU.

    Attributes:
        engine_file: Output file.
        min_batch_size: Minimum number of images per batch.
        opt_batch_size: Most frequent number of images per batch, for which TensorRT optimizes.
        max_batch_size: Maximum number of images per batch.
        max_workspace_size: Memory for tactics, bytes.
        timing_cache: File of tactic timings that speeds up the next build; read if it exists, and written.
    """

    engine_file: Location
    min_batch_size: int | None = None
    opt_batch_size: int | None = None
    max_batch_size: int | None = None
    max_workspace_size: int = 2 * _GIB
    timing_cache: Location | None = None


@dataclasses.dataclass(frozen=True)
class ExportResult:
    """Files that an export wrote.

    Attributes:
        model: Exported file.
        engine: TensorRT engine; None if none was requested.
        files: All files in the order of writing.
    """

    model: Path
    engine: Path | None
    files: tuple[Path, ...]


def export(
    model: Location,
    output_file: Location | None = None,
    *,
    spec: SpecLike | None = None,
    data_type: DataType = "fp32",
    graph: Literal["standard", "plugin"] = "standard",
    plugin_domain: str = "trt",
    static_batch_size: int | None = None,
    target_opset: int | None = None,
    cpu_fast_head: bool = False,
    gen_ds_config: bool = False,
    int8: Int8 | None = None,
    engine: Engine | None = None,
    key: str | Path | None = None,
    force: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> ExportResult:
    """Exports a trained model to ONNX.

    Args:
        model: Trained model, as `frcnn.load` takes it.
        output_file: Output: `.onnx` is plain, `.etlt` is sealed with the key. By default, with a key,
            `<model>.etlt` in the working folder; otherwise the model's name with `.onnx`.
        spec: `Spec` or its file, whose `inference_config` defines proposals and NMS; by default the spec that
            the model was trained with.
        data_type: Precision of the two networks; boxes and NMS are always fp32.
        graph: `standard` for standard ONNX operators, `plugin` for the TensorRT plugins of DeepStream.
        plugin_domain: Operator domain of the plugins.
        static_batch_size: Fixed number of images; by default any number.
        target_opset: ONNX opset; default 18, for the plugin graph 17.
        cpu_fast_head: Whether to store the head's 3x3 convolutions in the form that is fastest on CPUs.
        gen_ds_config: Whether to write labels.txt and nvinfer_config.txt next to the output.
        int8: Source of the INT8 ranges; by default 160 training images.
        engine: TensorRT engine to build as well; None for none.
        key: Key of the model and of an `.etlt` output, as text or a `pathlib.Path` of its file.
        force: Whether to replace existing files.
        on_progress: Called with the progress at most four times per second, in this thread.

    Returns:
        The files that were written.

    Raises:
        UsageError: Arguments contradict each other, or an output exists.
        SpecError: The spec is invalid.
        ModelError: The model cannot be loaded, or contains something that cannot be exported.
        RunError: An engine is requested, and there is no GPU or no TensorRT.
    """
    ranges = Int8() if int8 is None else int8
    known = None if spec is None else given_spec(spec)
    use_tensorflow()
    with reported_to(on_progress), model_file(model) as path, needed_for("export"):
        from frcnn.exporting.exporter import ExportOptions

        secret = resolved_key(key, known.enc_key if known is not None else None)
        run = export_run(own_spec(path, secret) if known is None else known)
        target = _target(output_file, path, sealed=bool(secret))
        _refuse_existing(target, path, ranges, engine, gen_ds_config=gen_ds_config, force=force)
        if ranges.cal_image_dir is not None and not _has_stored_images(ranges):
            local_folder(ranges.cal_image_dir, "cal_image_dir")  # fails before the model is loaded
        build = _engine_settings(engine, ranges)
        options = ExportOptions(
            graph=graph,
            precision=data_type,
            opset=target_opset,
            batch_size=static_batch_size,
            plugin_domain=plugin_domain,
            int8_profile="tensorrt" if build is not None and data_type == "int8" else ranges.int8_profile,
            cpu_fast_head=cpu_fast_head,
        )
        if gen_ds_config:
            _check_for_deepstream(run.data.image, graph, sealed=target.suffix == ".etlt" and bool(secret))
        exported = _exported(path, run, options, ranges, secret)
        described = run.data if gen_ds_config else None
        return _write(exported, described, target, ranges, (engine, build), secret)


def _check_for_deepstream(image: ImageSettings, graph: str, *, sealed: bool) -> None:
    """Checks whether DeepStream can run the exported model.

    Raises:
        UsageError: DeepStream cannot run it.
    """
    if graph != "plugin":
        raise UsageError(
            "gen_ds_config: DeepStream runs the plugin graph only; export with graph plugin",
            argument="gen_ds_config",
        )
    if image.dynamic:
        raise UsageError(
            "gen_ds_config: DeepStream needs one input size; the model has a dynamic shape (size_min)",
            argument="gen_ds_config",
        )
    if sealed:
        log.warning("DeepStream cannot open a sealed file. Choose an output file that ends in .onnx.")


def _target(output_file: Location | None, model: Path, *, sealed: bool) -> Path:
    if output_file is None:
        # TAO's user guide documents the working folder as the default for the sealed file.
        return Path(f"{model.stem}.etlt") if sealed else model.with_suffix(".onnx")
    target = local_output(output_file, "output_file")
    if target.suffix not in SUFFIXES:
        raise UsageError(
            f"output_file {target}: expected a name in .onnx, or in .etlt for a sealed file",
            argument="output_file",
        )
    return target


def _refuse_existing(
    target: Path, model: Path, int8: Int8, engine: Engine | None, *, gen_ds_config: bool, force: bool
) -> None:
    from frcnn.exporting.tensorrt.deepstream import CONFIG, LABELS

    if target.resolve() == model.resolve():
        raise UsageError(
            f"output_file {target}: is the model itself; choose another file", argument="output_file"
        )
    files = [target, *(target.with_name(name) for name in (LABELS, CONFIG) if gen_ds_config), *int8.files()]
    if engine is not None:
        files.append(local_output(engine.engine_file, "engine_file"))
    existing = [str(path) for path in files if path.exists()]
    if existing and not force:
        verb = "exist" if len(existing) > 1 else "exists"
        raise UsageError(f"{', '.join(existing)}: {verb}; name another output, or add force")


def _engine_settings(engine: Engine | None, int8: Int8) -> "EngineSettings | None":
    if engine is None:
        return None
    if int8.int8_profile not in (None, "tensorrt"):
        raise UsageError(
            f"int8_profile {int8.int8_profile}: TensorRT requires the profile tensorrt; "
            "omit int8_profile with an engine",
            argument="int8_profile",
        )
    from frcnn.exporting.tensorrt.engine import EngineSettings, require_gpu

    cache = None if engine.timing_cache is None else local_output(engine.timing_cache, "timing_cache")
    settings = EngineSettings(
        batches=EngineSettings.batches_of(
            engine.min_batch_size, engine.opt_batch_size, engine.max_batch_size
        ),
        workspace_gib=engine.max_workspace_size / _GIB,
        timing_cache=cache,
    )
    require_gpu()
    return settings


def _exported(path: Path, run: ExportRun, options: "ExportOptions", int8: Int8, key: str) -> "Exported":
    from frcnn.exporting.exporter import export_with_ranges, split_trained
    from frcnn.model.files.checkpoint import load_model
    from frcnn.model.files.trained_detector import check_fits

    model, _ = load_model(path, key)
    check_fits(model, run.geometry, path)
    model, learned = split_trained(model)
    trained = None if int8.force_ptq else learned
    calibration = _calibration(run.data, options, int8, trained)
    return export_with_ranges(model, run.file, options, calibration, trained)


def _calibration(
    data: DataSettings, options: "ExportOptions", int8: Int8, trained: "TrainedRanges | None"
) -> "Calibration | None":
    """Returns a function that measures ranges; None if none are needed or training learned them."""
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


def _write(
    exported: "Exported",
    described: DataSettings | None,
    target: Path,
    int8: Int8,
    engine: "tuple[Engine | None, EngineSettings | None]",
    key: str,
) -> ExportResult:
    deepstream = write_together(exported.proto, target, _seal_key(target, key), described)
    files = [target, *_write_ranges(exported, int8)]
    built = None
    if engine[0] is not None and engine[1] is not None:
        from frcnn.exporting.tensorrt.engine import build_engine

        built = local_output(engine[0].engine_file, "engine_file")
        build_engine(target, built, engine[1], key)
        files.append(built)
    return ExportResult(target, built, (*files, *deepstream))


def write_together(proto: Any, target: Path, key: str, described: DataSettings | None) -> list[Path]:
    """Writes the model and DeepStream's files, replacing earlier ones in one step.

    Args:
        proto: ONNX model.
        target: Exported file.
        key: Key that seals the file; empty for a plain file.
        described: Classes and input format to write DeepStream's files from; None for no such files.

    Returns:
        DeepStream's files.

    Raises:
        PlaceBusyError: Another export writes to `target`.
        RunError: The disk is full.
    """
    from frcnn.exporting.exporter import write_onnx

    with only_writer_of(target), switched(target) as folder:
        write_onnx(proto, folder / target.name, key)
        if described is None:
            return []
        from frcnn.exporting.tensorrt.deepstream import write_deepstream_files

        written = write_deepstream_files(folder, described.class_names, described.image)
    return [target.with_name(path.name) for path in written]


def _write_ranges(exported: "Exported", int8: Int8) -> list[Path]:
    from frcnn.exporting.int8.scale_files import tensor_limits, write_cache, write_scales

    if not exported.ranges:
        return []
    limits = tensor_limits(exported.proto, exported.ranges)
    if int8.cal_cache_file is not None:
        write_cache(local_output(int8.cal_cache_file, "cal_cache_file"), limits)
    if int8.cal_json_file is not None:
        write_scales(local_output(int8.cal_json_file, "cal_json_file"), limits)
    return list(int8.files())


def _seal_key(target: Path, key: str) -> str:
    if target.suffix != ".etlt":
        return ""
    if not key:
        log.warning("Writing %s without sealing: there is no key", target)
    return key
