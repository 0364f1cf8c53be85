"""`frcnn export`: a trained model in, an ONNX file for deployment out."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.cli import export_engine, export_int8
from frcnn.cli.model_flags import found_model
from frcnn.cli.spec_flags import add_spec_flags, load_spec
from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.api.exporting import Int8
    from frcnn.spec import Experiment

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
    from frcnn.api.exporting import export
    from frcnn.sealing.keys import resolve_key

    model = found_model(args.model)
    spec = load_spec(args)
    key = resolve_key(args.key, spec.enc_key)
    args.graph = _graph(args)
    int8, engine = export_int8.options(args), export_engine.options(args)
    result = export(
        model,
        output_file(args.output_file, model, sealed=bool(key)),
        spec=spec,
        data_type=args.data_type,
        graph=args.graph,
        plugin_domain=args.plugin_domain,
        static_batch_size=None if args.static_batch_size == -1 else args.static_batch_size,
        target_opset=args.target_opset,
        cpu_fast_head=args.cpu_fast_head,
        gen_ds_config=args.gen_ds_config,
        int8=int8,
        engine=engine,
        key=key,
        force=args.force,
    )
    sys.stdout.write(f"{_description(args, spec, int8)}\nexported model: {result.model}\n")
    names = {args.cal_cache_file: "calibration cache", args.cal_json_file: "tensor scales"}
    for path in result.files[1:]:
        name = "engine" if path == result.engine else names.get(path, "DeepStream")
        sys.stdout.write(f"{name}: {path}\n")
    return {"kpi": {"size": result.model.stat().st_size / 2**20}}


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


def _description(args: argparse.Namespace, spec: "Experiment", int8: "Int8") -> str:
    from frcnn.model.spec_settings import geometry_of

    geometry = geometry_of(spec)
    batch = "any batch size" if args.static_batch_size == -1 else f"batch size {args.static_batch_size}"
    sides = "HxW, any H and W" if geometry.dynamic else f"{geometry.height}x{geometry.width}"
    precision = args.data_type
    if precision == "int8":
        for_tensorrt = args.graph == "plugin" or args.engine_file is not None
        precision = f"int8 ({int8.int8_profile or ('tensorrt' if for_tensorrt else 'cpu')})"
    return f"{args.graph} graph, {precision}, input {geometry.channels}x{sides}, {batch}"
