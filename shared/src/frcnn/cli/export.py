"""`frcnn export`: a trained model in, an ONNX file for deployment out."""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn.cli import export_engine, export_int8
from frcnn.cli.model_flags import found_model
from frcnn.cli.spec_flags import add_spec_flags, load_spec
from frcnn.errors import UsageError
from frcnn.set_switch import switched
from frcnn.single_writer import only_writer_of

if TYPE_CHECKING:
    from frcnn.exporting.exporter import ExportOptions
    from frcnn.model.faster_rcnn import FasterRCNN
    from frcnn.spec import Experiment

log = logging.getLogger(__name__)

HELP = "Write a model as ONNX: one file that any ONNX runtime runs, or one with TensorRT plugins."
EXAMPLES = """\
  frcnn export -e spec.txt -m results/frcnn_resnet_18.epoch_12.tlt -o model.onnx
  frcnn export -e spec.txt -m model.keras -o model.etlt -k @key.txt         sealed
  frcnn export -e spec.txt -m model.keras --gen_ds_config                   for DeepStream
  frcnn export -e spec.txt -m model.keras -o int8.onnx --data_type int8     calibrated on training images
  frcnn export -e spec.txt -m model.keras --engine_file model.engine        and a TensorRT engine of it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the task's flags."""
    add = parser.add_argument
    add("-m", "--model", type=Path, required=True, metavar="FILE", help="the trained model")
    add_spec_flags(parser, "experiment spec; inference_config says how proposals and NMS work")
    add(
        *("-k", "--key", "--enc_key"),
        metavar="KEY",
        help="key of the model, and of an .etlt output (safer: FRCNN_KEY, or -k @FILE)",
    )
    add(
        *("-o", "--output_file"),
        type=Path,
        metavar="FILE",
        help="plain .onnx, or .etlt sealed with the key (default: with a key ./MODEL.etlt, else the model's "
        "name with .onnx)",
    )
    add("--force", action="store_true", help="replace files that exist")
    add(
        "--graph",
        choices=("standard", "plugin"),
        help="standard ONNX operators (default), or the TensorRT plugins of DeepStream (default with "
        "--gen_ds_config)",
    )
    add(
        "--plugin_domain",
        default="trt",
        metavar="NAME",
        help="operator domain of the plugins (default: trt; '' as in the reference's files)",
    )
    add(
        "--data_type",
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="precision of the two networks; boxes and NMS are always fp32 (default: fp32)",
    )
    add(
        "--static_batch_size",
        type=int,
        default=-1,
        metavar="N",
        help="fix the number of images (default: -1, any number)",
    )
    add(
        "--cpu_fast_head",
        action="store_true",
        help="the head's 3x3 convolutions as matrix products of frequencies: faster on CPUs, a larger file",
    )
    add("--target_opset", type=int, metavar="N", help="ONNX opset (default: 18, or 17 with --graph plugin)")
    add(
        "--gen_ds_config",
        action="store_true",
        help="write labels.txt and nvinfer_config.txt beside the output, which gets DeepStream's graph",
    )
    add("-r", "--results_dir", type=Path, metavar="DIR", help="where status.json goes")
    export_int8.add_arguments(parser)
    export_engine.add_arguments(parser)


def run(args: argparse.Namespace) -> Mapping[str, object]:
    """Exports, and says what was written."""
    export_int8.check(args)
    args.graph = _graph(args)
    args.model = found_model(args.model)

    from frcnn.sealing.keys import resolve_key

    spec = load_spec(args)
    key = resolve_key(args.key, spec.enc_key)
    target = output_file(args.output_file, args.model, sealed=bool(key))
    _refuse_existing(target, args)
    seal_key = _seal_key(target, key)
    if args.gen_ds_config:
        _check_for_deepstream(spec, sealed=bool(seal_key))
    engine = export_engine.settings(args)

    from frcnn.exporting.exporter import ExportOptions, export_with_ranges, split_trained
    from frcnn.model.files.checkpoint import check_fits, load_model

    options = ExportOptions(
        graph=args.graph,
        precision=args.data_type,
        opset=args.target_opset,
        batch_size=None if args.static_batch_size == -1 else args.static_batch_size,
        plugin_domain=args.plugin_domain,
        int8_profile=args.int8_profile,
        cpu_fast_head=args.cpu_fast_head,
    )
    model, _ = load_model(args.model, key)
    check_fits(model, spec, args.model)
    model, learnt = split_trained(model)
    trained = None if args.force_ptq else learnt
    calibration = export_int8.calibration(args, spec, trained)
    exported = export_with_ranges(model, spec, options, calibration, trained)
    beside = write_together(exported.proto, target, seal_key, spec if args.gen_ds_config else None)
    sys.stdout.write(_text(model, options, target))
    for line in export_int8.write_files(args, exported.proto, exported.ranges):
        sys.stdout.write(line)
    for line in export_engine.write_engine(args, engine, target, key):
        sys.stdout.write(line)
    for path in beside:
        sys.stdout.write(f"DeepStream: {path}\n")
    return {"kpi": {"size": target.stat().st_size / 2**20}}


def write_together(proto: Any, target: Path, key: str, deepstream: "Experiment | None") -> list[Path]:
    """Writes the model and the files that describe it, and replaces earlier ones in one step.

    Args:
        proto: ONNX model.
        target: Where it goes.
        key: Seals it; empty for a plain file.
        deepstream: Spec to write DeepStream's files from; `None` for no such files.

    Returns:
        DeepStream's files.

    Raises:
        PlaceBusyError: Another export writes to `target`.
        RunError: The disk is full.
    """
    from frcnn.exporting.exporter import write_onnx

    with only_writer_of(target), switched(target) as folder:
        write_onnx(proto, folder / target.name, key)
        beside = _write_deepstream(folder, deepstream) if deepstream else ()
    return [target.with_name(path.name) for path in beside]


def _graph(args: argparse.Namespace) -> str:
    """The graph to export: DeepStream's files describe the one with plugins, and no other.

    Raises:
        UsageError: The other one is asked for.
    """
    if args.graph is None:
        return "plugin" if args.gen_ds_config else "standard"
    if args.gen_ds_config and args.graph == "standard":
        raise UsageError(
            "--gen_ds_config: DeepStream runs the plugin graph only; leave out --graph standard, or add "
            "--graph plugin"
        )
    return str(args.graph)


def _check_for_deepstream(spec: "Experiment", *, sealed: bool) -> None:
    """Says what DeepStream will not do with the exported model.

    Raises:
        UsageError: It cannot run it at all.
    """
    if spec.model_config.input_image_config.size_min is not None:
        raise UsageError(
            "--gen_ds_config: DeepStream needs one input size, and the model takes any (size_min)"
        )
    if sealed:
        log.warning("DeepStream opens no sealed file: name a plain one with -o NAME.onnx")


def output_file(given: Path | None, model: Path, *, sealed: bool = False) -> Path:
    """Where the exported model goes: a name in `.onnx` or `.etlt` as it is, any other gets `.onnx`.

    Without a name, a model that is to be `sealed` goes to the folder that one is in, as `.etlt`; a plain one
    stays beside the model.
    """
    if given is None:
        return Path(f"{model.stem}.etlt") if sealed else model.with_suffix(".onnx")
    if given.suffix in (".onnx", ".etlt"):
        return given
    return given.with_name(f"{given.name}.onnx")


def _refuse_existing(target: Path, args: argparse.Namespace) -> None:
    from frcnn.exporting.tensorrt.deepstream import CONFIG, LABELS

    if target.resolve() == args.model.resolve():
        raise UsageError(f"-o {target} is the model to export itself; name another file")
    files = [target, *(target.with_name(name) for name in (LABELS, CONFIG) if args.gen_ds_config)]
    files += export_int8.output_files(args)
    files += [args.engine_file] if args.engine_file is not None else []
    existing = [str(path) for path in files if path.exists()]
    if existing and not args.force:
        raise UsageError(
            f"{', '.join(existing)}: {'exist' if len(existing) > 1 else 'exists'}; "
            "name another output with -o, or add --force"
        )


def _seal_key(target: Path, key: str) -> str:
    if target.suffix != ".etlt":
        return ""
    if not key:
        log.warning("%s is written plain, since there is no key to seal it with", target)
    return key


def _write_deepstream(folder: Path, spec: "Experiment") -> Sequence[Path]:
    from frcnn.data.transforms.preprocess import ImageSettings
    from frcnn.exporting.tensorrt.deepstream import write_deepstream_files

    return write_deepstream_files(folder, spec.class_names, ImageSettings.from_spec(spec))


def _text(model: "FasterRCNN", options: "ExportOptions", target: Path) -> str:
    geometry = model.geometry
    batch = "any batch size" if options.batch_size is None else f"batch size {options.batch_size}"
    sides = "HxW, any H and W" if geometry.dynamic else f"{geometry.height}x{geometry.width}"
    size = f"{geometry.channels}x{sides}"
    precision = f"int8 ({options.profile})" if options.precision == "int8" else options.precision
    return f"{options.graph} graph, {precision}, input {size}, {batch}\nexported model: {target}\n"
