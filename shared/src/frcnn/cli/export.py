"""`frcnn export`: writes a trained model as ONNX for deployment."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.cli import export_engine, export_int8
from frcnn.cli.model_flags import found_model
from frcnn.cli.shared_flags import OR_RESULTS, add_model_flag
from frcnn.cli.spec_flags import add_spec_flags, load_spec
from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.api.int8 import Int8
    from frcnn.model.settings import Geometry

HELP = "Export a model as ONNX, with standard operators for any runtime or with TensorRT plugins."
EXAMPLES = """\
  frcnn export -e spec.txt -m results/frcnn_resnet_18.epoch_12.keras -o model.onnx
  frcnn export -e spec.txt -m model.keras -o model.etlt -k @key.txt         sealed
  frcnn export -e spec.txt -m model.keras --gen_ds_config                   for DeepStream
  frcnn export -e spec.txt -m model.keras -o int8.onnx --data_type int8     calibrated on training images
  frcnn export -e spec.txt -m model.keras --engine_file model.engine        also builds a TensorRT engine
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    add = parser.add_argument
    add_model_flag(parser, f"trained model, {OR_RESULTS}")
    add_spec_flags(parser, "experiment spec; its inference_config has the settings of proposals and NMS")
    add(
        *("-k", "--key", "--enc_key"),
        metavar="KEY",
        help="key of the model, and of an .etlt output (safer: FRCNN_KEY, or -k @FILE)",
    )
    add(
        *("-o", "--output_file"),
        type=Path,
        metavar="FILE",
        help="output file: .onnx (plain) or .etlt (sealed with the key) (default: ./MODEL.etlt with a key, "
        "otherwise the name of the model with suffix .onnx)",
    )
    add("--force", action="store_true", help="overwrite existing files")
    _add_graph_flags(parser)
    add("-r", "--results_dir", type=Path, metavar="DIR", help="folder for status.json")
    export_int8.add_arguments(parser)
    export_engine.add_arguments(parser)


def _add_graph_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that choose the form of the graph."""
    add = parser.add_argument
    add(
        "--graph",
        choices=("standard", "plugin"),
        help="standard ONNX operators, or TensorRT plugins for DeepStream (default: standard; plugin with "
        "--gen_ds_config)",
    )
    add(
        "--plugin_domain",
        default="trt",
        metavar="NAME",
        help="operator domain of the plugins; '' as in TAO's files (default: trt)",
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
        help="fixed batch size; -1: any (default: -1)",
    )
    add(
        "--cpu_fast_head",
        action="store_true",
        help="compute 3x3 convolutions of the head in the frequency domain: faster on CPUs, larger file",
    )
    add("--target_opset", type=int, metavar="N", help="ONNX opset (default: 18, or 17 with --graph plugin)")
    add(
        "--gen_ds_config",
        action="store_true",
        help="write labels.txt and nvinfer_config.txt for DeepStream next to the output; uses --graph plugin",
    )


def run(args: argparse.Namespace) -> Mapping[str, object]:
    """Exports the model and prints the paths of the results.

    Returns:
        Size of the exported model, MiB, for the status file.
    """
    from frcnn.api.exporting import export
    from frcnn.sealing.keys import resolve_key
    from frcnn.settings.model import geometry_of

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
    sys.stdout.write(f"{_description(args, geometry_of(spec), int8)}\nexported model: {result.model}\n")
    names = {args.cal_cache_file: "calibration cache", args.cal_json_file: "tensor scales"}
    for path in result.files[1:]:
        name = "engine" if path == result.engine else names.get(path, "DeepStream")
        sys.stdout.write(f"{name}: {path}\n")
    return {"kpi": {"size": result.model.stat().st_size / 2**20}}


def _graph(args: argparse.Namespace) -> str:
    """Returns the graph to export. DeepStream's files describe the plugin graph only.

    Raises:
        UsageError: `--gen_ds_config` is combined with the standard graph.
    """
    if args.graph is None:
        return "plugin" if args.gen_ds_config else "standard"
    if args.gen_ds_config and args.graph == "standard":
        raise UsageError(
            "--gen_ds_config: DeepStream runs the plugin graph only; remove --graph standard or use "
            "--graph plugin"
        )
    return str(args.graph)


def output_file(given: Path | None, model: Path, *, sealed: bool = False) -> Path:
    """Returns the path of the exported model.

    Args:
        given: Path given by the user. Any suffix other than `.onnx` or `.etlt` is extended by `.onnx`.
        model: Path of the trained model.
        sealed: Whether the exported model is sealed.

    Returns:
        Path. Without `given`, a sealed model goes to the working directory as `.etlt`, a plain one next to
        the trained model as `.onnx`.
    """
    if given is None:
        return Path(f"{model.stem}.etlt") if sealed else model.with_suffix(".onnx")
    if given.suffix in (".onnx", ".etlt"):
        return given
    return given.with_name(f"{given.name}.onnx")


def _description(args: argparse.Namespace, geometry: "Geometry", int8: "Int8") -> str:
    batch = "any batch size" if args.static_batch_size == -1 else f"batch size {args.static_batch_size}"
    sides = "HxW, any H and W" if geometry.dynamic else f"{geometry.height}x{geometry.width}"
    precision = args.data_type
    if precision == "int8":
        for_tensorrt = args.graph == "plugin" or args.engine_file is not None
        precision = f"int8 ({int8.int8_profile or ('tensorrt' if for_tensorrt else 'cpu')})"
    return f"{args.graph} graph, {precision}, input {geometry.channels}x{sides}, {batch}"
