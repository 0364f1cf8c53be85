"""`frcnn.export`: a trained model as an ONNX file, and a TensorRT engine of it."""

import dataclasses
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from frcnn.api.backend import use_tensorflow
from frcnn.api.keys import resolved_key
from frcnn.api.locations import Location, local_folder, local_output, model_file
from frcnn.errors import UsageError
from frcnn.inference.open_model import own_spec
from frcnn.packages import needed_for
from frcnn.progress import Progress, reported_to
from frcnn.set_switch import switched
from frcnn.single_writer import only_writer_of
from frcnn.spec.python_api import given
from frcnn.spec.schema.experiment import Experiment

if TYPE_CHECKING:
    from frcnn.exporting.exporter import Calibration, Exported, ExportOptions
    from frcnn.exporting.int8.qdq import Ranges
    from frcnn.exporting.int8.trained_ranges import TrainedRanges
    from frcnn.exporting.tensorrt.engine import EngineSettings

log = logging.getLogger(__name__)

DataType = Literal["fp32", "fp16", "int8"]
SUFFIXES = (".onnx", ".etlt")
_GIB = 2**30
# Fields of Int8 that have no effect where no range is measured.
_INPUTS = ("cal_image_dir", "cal_data_file", "batches", "batch_size", "cal_method", "int8_profile")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Int8:
    """Where the ranges of an INT8 export come from, and where else they are written.

    Attributes:
        int8_profile: Form of the graph; by default `cpu`, of the plugin graph or with an engine `tensorrt`.
        cal_method: How the range of a tensor is found from its values.
        cal_image_dir: Calibrate on images of this folder, chosen at random; by default on training images.
        cal_data_file: HDF5 file of calibration images: read if it exists, else written.
        batches: Number of batches to calibrate on.
        batch_size: Images in each of them.
        cal_cache_file: Write the ranges as TensorRT's calibration cache.
        cal_json_file: Write the ranges as JSON; required for a model of quantization-aware training.
        force_ptq: Calibrate even if training has learned ranges.
    """

    int8_profile: Literal["cpu", "tensorrt"] | None = None
    cal_method: Literal["minmax", "entropy", "percentile"] = "minmax"
    cal_image_dir: Location | None = None
    cal_data_file: Location | None = None
    batches: int = 10
    batch_size: int = 16
    cal_cache_file: Location | None = None
    cal_json_file: Location | None = None
    force_ptq: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError for a number below 1."""
        for name in ("batches", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} {getattr(self, name)}: expected 1 or more", argument=name)

    def files(self) -> tuple[Path, ...]:
        """Returns the files that are written beside the model."""
        given_files = (("cal_cache_file", self.cal_cache_file), ("cal_json_file", self.cal_json_file))
        return tuple(local_output(each, name) for name, each in given_files if each is not None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Engine:
    """A TensorRT engine to build of the exported file, for the GPU of this machine.

    Attributes:
        engine_file: Where it goes.
        min_batch_size: Fewest images at a time.
        opt_batch_size: Most usual number of images.
        max_batch_size: Most images.
        max_workspace_size: Memory for tactics, bytes.
        timing_cache: Makes the next build faster; read and written.
    """

    engine_file: Location
    min_batch_size: int | None = None
    opt_batch_size: int | None = None
    max_batch_size: int | None = None
    max_workspace_size: int = 2 * _GIB
    timing_cache: Location | None = None


@dataclasses.dataclass(frozen=True)
class ExportResult:
    """What was written.

    Attributes:
        model: The exported file.
        engine: The TensorRT engine, if one was asked for.
        files: Everything, in the order of writing.
    """

    model: Path
    engine: Path | None
    files: tuple[Path, ...]


def export(
    model: Location,
    output_file: Location | None = None,
    *,
    spec: Experiment | str | os.PathLike[str] | None = None,
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
    """Writes a trained model as ONNX.

    Args:
        model: A trained model, as `frcnn.load` takes it.
        output_file: Plain `.onnx`, or `.etlt` sealed with the key; by default, with a key, `<model>.etlt` in
            the working folder, otherwise the model's name with `.onnx`.
        spec: A `Spec` or its file, whose `inference_config` says how proposals and NMS work; by default the
            one that the model was trained by.
        data_type: Precision of the two networks; boxes and NMS are always fp32.
        graph: Standard ONNX operators, or the TensorRT plugins of DeepStream.
        plugin_domain: Operator domain of the plugins.
        static_batch_size: Fixed number of images; by default any.
        target_opset: ONNX opset; by default 18, of the plugin graph 17.
        cpu_fast_head: Store the head's 3x3 convolutions in the form that is fastest on CPUs.
        gen_ds_config: Write labels.txt and nvinfer_config.txt beside the output.
        int8: Where the ranges of INT8 come from; by default 160 training images.
        engine: Also build a TensorRT engine.
        key: Key of the model, and of an `.etlt` output; or a `pathlib.Path` of its file.
        force: Replace files that exist.
        on_progress: Called now and then, at most four times a second, in this thread.

    Returns:
        The files that were written.

    Raises:
        UsageError: Arguments contradict each other, or a file exists.
        SpecError: The spec has faults.
        ModelError: The model cannot be loaded, or holds something that cannot be exported.
        RunError: No GPU or no TensorRT for an engine.
    """
    ranges = Int8() if int8 is None else int8
    known = None if spec is None else given(Experiment, spec)
    use_tensorflow()
    with reported_to(on_progress), model_file(model) as path, needed_for("export"):
        from frcnn.exporting.exporter import ExportOptions

        secret = resolved_key(key, known.enc_key if known is not None else None)
        known = own_spec(path, secret) if known is None else known
        target = _target(output_file, path, sealed=bool(secret))
        _refuse_existing(target, path, ranges, engine, gen_ds_config=gen_ds_config, force=force)
        if ranges.cal_image_dir is not None and not _has_stored_images(ranges):
            local_folder(ranges.cal_image_dir, "cal_image_dir")  # sooner than the model is loaded
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
            _check_for_deepstream(known, graph, sealed=target.suffix == ".etlt" and bool(secret))
        exported = _exported(path, known, options, ranges, secret)
        return _write(exported, known, target, ranges, (engine, build), secret, gen_ds_config=gen_ds_config)


def _check_for_deepstream(spec: Experiment, graph: str, *, sealed: bool) -> None:
    """Checks whether DeepStream runs the exported model.

    Raises:
        UsageError: It cannot run it.
    """
    if graph != "plugin":
        raise UsageError(
            "gen_ds_config: DeepStream runs the plugin graph only; export with graph plugin",
            argument="gen_ds_config",
        )
    if spec.model_config.input_image_config.size_min is not None:
        raise UsageError(
            "gen_ds_config: DeepStream needs one input size, and the model takes any (size_min)",
            argument="gen_ds_config",
        )
    if sealed:
        log.warning("DeepStream opens no sealed file. Name a plain output file that ends in .onnx.")


def _target(output_file: Location | None, model: Path, *, sealed: bool) -> Path:
    if output_file is None:
        # TAO's guide promises the sealed file in the working folder.
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
            f"output_file {target}: is the model itself; name another file", argument="output_file"
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
    if int8.int8_profile == "cpu":
        raise UsageError(
            "int8_profile cpu: TensorRT takes the other form; leave it out with an engine",
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


def _exported(path: Path, spec: Experiment, options: "ExportOptions", int8: Int8, key: str) -> "Exported":
    from frcnn.exporting.exporter import export_with_ranges, split_trained
    from frcnn.model.files.checkpoint import check_fits, load_model

    model, _ = load_model(path, key)
    check_fits(model, spec, path)
    model, learned = split_trained(model)
    trained = None if int8.force_ptq else learned
    calibration = _calibration(spec, options, int8, trained)
    return export_with_ranges(model, spec, options, calibration, trained)


def _calibration(
    spec: Experiment, options: "ExportOptions", int8: Int8, trained: "TrainedRanges | None"
) -> "Calibration | None":
    """Returns how ranges are measured; None if nothing needs them, or training has learned them."""
    if trained is not None and int8.cal_json_file is None:
        raise UsageError(
            "cal_json_file is missing: the model was trained with quantization (enable_qat); name a file for "
            "its ranges, or calibrate instead by force_ptq",
            argument="cal_json_file",
        )
    if trained is not None or not (options.precision == "int8" or int8.cal_cache_file is not None):
        _warn_of_options_without_effect(int8, options.precision, learned=trained is not None)
        return None
    from frcnn.data.transforms.image_settings import ImageSettings
    from frcnn.exporting.int8.calibration import calibrate
    from frcnn.exporting.int8.calibration_images import CalibrationImages

    if ImageSettings.from_spec(spec).dynamic:
        raise UsageError(
            "INT8 needs a fixed input size, since a runtime gets it wrong otherwise; "
            "this model takes any (size_min): export it as fp32 or fp16"
        )
    images = CalibrationImages(int8.batches, int8.batch_size, _image_dir(int8), _data_file(int8))

    def measure(graph: Any) -> "Ranges":
        return calibrate(graph, images.load(spec), images.count, int8.cal_method)

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
        log.warning("without effect: %s; %s", ", ".join(names), reason)


def _image_dir(int8: Int8) -> Path | None:
    if int8.cal_image_dir is None:
        return None
    if _has_stored_images(int8):
        log.warning("cal_image_dir: without effect, since %s exists and has the images", int8.cal_data_file)
        return None
    return local_folder(int8.cal_image_dir, "cal_image_dir")


def _has_stored_images(int8: Int8) -> bool:
    stored = _data_file(int8)
    return stored is not None and stored.exists()


def _data_file(int8: Int8) -> Path | None:
    return None if int8.cal_data_file is None else local_output(int8.cal_data_file, "cal_data_file")


def _write(
    exported: "Exported",
    spec: Experiment,
    target: Path,
    int8: Int8,
    engine: "tuple[Engine | None, EngineSettings | None]",
    key: str,
    *,
    gen_ds_config: bool,
) -> ExportResult:
    described = spec if gen_ds_config else None
    deepstream = _write_together(exported.proto, target, _seal_key(target, key), described)
    files = [target, *_write_ranges(exported, int8)]
    built = None
    if engine[0] is not None and engine[1] is not None:
        from frcnn.exporting.tensorrt.engine import build_engine

        built = local_output(engine[0].engine_file, "engine_file")
        build_engine(target, built, engine[1], key)
        files.append(built)
    return ExportResult(target, built, (*files, *deepstream))


def _write_together(proto: Any, target: Path, key: str, described: Experiment | None) -> list[Path]:
    """Writes the model and DeepStream's files, replacing earlier ones in one step.

    Args:
        proto: ONNX model.
        target: Exported file.
        key: Key that seals it; empty for a plain file.
        described: Spec to write DeepStream's files from; `None` for no such files.

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
        from frcnn.data.transforms.image_settings import ImageSettings
        from frcnn.exporting.tensorrt.deepstream import write_deepstream_files

        written = write_deepstream_files(folder, described.class_names, ImageSettings.from_spec(described))
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
        log.warning("%s is written plain, since there is no key to seal it with", target)
    return key
