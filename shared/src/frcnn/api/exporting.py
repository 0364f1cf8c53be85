"""`frcnn.export`: exports a trained model to ONNX and builds a TensorRT engine from it."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from frcnn.api.backend import use_tensorflow
from frcnn.api.booleans import checked_booleans
from frcnn.api.engine import Engine, engine_settings
from frcnn.api.exported_files import exported_file, refuse_existing, seal_key, write_together
from frcnn.api.int8 import Int8, calibration, check_images, write_ranges
from frcnn.api.keys import resolved_key
from frcnn.api.locations import Location, model_file
from frcnn.api.specs import SpecLike, given_spec, own_spec
from frcnn.console.quiet_import import quiet_tensorflow_import
from frcnn.data.settings import DataSettings
from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.errors import UsageError
from frcnn.packages import needed_for
from frcnn.progress import Progress, reported_to
from frcnn.settings.exporting import ExportRun, export_run
from frcnn.single_writer import only_writer_of

if TYPE_CHECKING:
    from frcnn.exporting.exporter import Exported, ExportOptions
    from frcnn.exporting.tensorrt.engine import EngineSettings

log = logging.getLogger(__name__)

DataType = Literal["fp32", "fp16", "int8"]


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


@checked_booleans
@quiet_tensorflow_import()
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
        PlaceBusyError: Another export writes to the same file.
        RunError: An engine is requested, and there is no GPU or no TensorRT.
    """
    ranges = Int8() if int8 is None else int8
    known = None if spec is None else given_spec(spec)
    use_tensorflow()
    with reported_to(on_progress), model_file(model) as path, needed_for("export", "export"):
        from frcnn.exporting.exporter import ExportOptions

        secret = resolved_key(key, known.enc_key if known is not None else None)
        run = export_run(own_spec(path, secret) if known is None else known)
        target = exported_file(output_file, path, sealed=bool(secret))
        refuse_existing(target, path, ranges, engine, gen_ds_config=gen_ds_config, force=force)
        check_images(ranges)  # fails before the model is loaded
        build = None if engine is None else engine_settings(engine, ranges.int8_profile)
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
        with only_writer_of(target):
            # Again, now that no other export writes there: one may have just ended.
            refuse_existing(target, path, ranges, engine, gen_ds_config=gen_ds_config, force=force)
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


def _exported(path: Path, run: ExportRun, options: "ExportOptions", int8: Int8, key: str) -> "Exported":
    from frcnn.exporting.exporter import export_with_ranges, split_trained
    from frcnn.model.files.trained_detector import load_fitting
    from frcnn.settings.inference import warn_of_other_input

    model, record = load_fitting(path, run.geometry, key)
    warn_of_other_input(record.spec_text, run.data.image, path)
    model, learned = split_trained(model)
    trained = None if int8.force_ptq else learned
    measure = calibration(run.data, options, int8, trained)
    return export_with_ranges(model, run.file, options, measure, trained)


def _write(
    exported: "Exported",
    described: DataSettings | None,
    target: Path,
    int8: Int8,
    engine: "tuple[Engine | None, EngineSettings | None]",
    key: str,
) -> ExportResult:
    deepstream = write_together(exported.proto, target, seal_key(target, key), described)
    files = [target, *write_ranges(exported, int8)]
    built = None
    if engine[0] is not None and engine[1] is not None:
        from frcnn.exporting.tensorrt.engine import build_engine

        built = engine[0].file()
        build_engine(target, built, engine[1], key)
        files.append(built)
    return ExportResult(target, built, (*files, *deepstream))
