"""`frcnn model summary`: shows layers, parameters, operations and memory of a detector."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.cli.model_flags import found_model
from frcnn.cli.spec_flags import add_file_marker, add_set_flag, spec_in
from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.model.faster_rcnn import FasterRCNN
    from frcnn.model.summary import ModelSummary

HELP = "Show layers, parameters, operations and memory of the detector in a spec or model file."
EXAMPLES = """\
  frcnn model summary examples/specs/kitti_resnet18.txt
  frcnn model summary results/frcnn_resnet_18.epoch_12.keras --batch_size 8
  frcnn model summary sealed.tlt -k @key.txt                          sealed model
  frcnn model summary pruned.keras --parts                            totals only
"""

MODEL_SUFFIXES = (".tlt", ".keras", ".hdf5", ".h5")
PARTS = ("backbone", "RPN", "head")
# Number of slot values per weight.
SLOTS = {"SGD with momentum": 1, "Adam": 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    add = parser.add_argument
    add("action", choices=("summary",), help="action")
    add("file", type=Path, metavar="SPEC|MODEL", help=f"spec, or model file ({', '.join(MODEL_SUFFIXES)})")
    add_file_marker(parser)
    add_set_flag(parser)
    add("-k", "--key", "--enc_key", metavar="KEY", help="key of the model (safer: FRCNN_KEY, or -k @FILE)")
    add("--batch_size", type=int, default=1, metavar="N", help="batch size of memory estimates (default: 1)")
    add("--rois", type=int, default=300, metavar="N", help="RoIs per image in the head (default: 300)")
    add("--parts", action="store_true", help="show totals of backbone, RPN and head only")


def run(args: argparse.Namespace) -> None:
    """Prints the tables.

    Raises:
        UsageError: A number is below 1, or the network input has no fixed size.
    """
    for flag in ("batch_size", "rois"):
        if getattr(args, flag) < 1:
            raise UsageError(f"--{flag} {getattr(args, flag)}: expected 1 or more")
    model = _model(args)
    if None in model.features.inputs[0].shape[1:]:
        raise UsageError(
            f"{args.file}: operations and memory depend on the input size, which is not fixed; "
            "use a spec with size_height_width instead of size_min"
        )
    from frcnn.model.summary import summarize

    summary = summarize(model, args.rois)
    lines = [] if args.parts else [*_layer_lines(summary), ""]
    sys.stdout.write("\n".join([*lines, *_part_lines(summary, model, args.batch_size)]) + "\n")


def _model(args: argparse.Namespace) -> "FasterRCNN":
    path = found_model(args.file)
    if path.suffix in MODEL_SUFFIXES:
        if args.settings:
            raise UsageError(f"--set requires a spec; {path} is a model")
        from frcnn.model.files.checkpoint import load_model
        from frcnn.sealing.keys import resolve_key

        return load_model(path, resolve_key(args.key, None))[0]
    from frcnn.settings.model import model_settings

    settings = model_settings(spec_in(path, args.settings, remarks=True))
    from frcnn.model.build import build  # after the spec is checked, since it imports TensorFlow

    return build(settings)


def _layer_lines(summary: "ModelSummary") -> list[str]:
    cells = [("layer", "type", "output", "parameters", "MFLOPs", "")]
    for part in PARTS:
        for each in (layer for layer in summary.layers if layer.part == part):
            shape = " x ".join(map(str, each.shape))
            flops = f"{each.flops / 1e6:,.1f}" if each.flops else ""
            frozen = "frozen" if each.params and not each.trainable else ""
            cells.append(
                (each.name, each.kind, shape, f"{each.params:,}" if each.params else "", flops, frozen)
            )
    return _table(cells, left=2)


def _part_lines(summary: "ModelSummary", model: "FasterRCNN", batch: int) -> list[str]:
    cells = [("part", "parameters", "GFLOPs")]
    for part, name in [*((part, part) for part in PARTS), (None, "all")]:
        params, flops = summary.total("params", part), summary.total("flops", part)
        cells.append((name, f"{params:,}", f"{flops / 1e9:,.2f}"))
    size = " x ".join(map(str, model.features.inputs[0].shape[1:]))
    images = "1 image" if batch == 1 else f"{batch} images"
    training = ", ".join(
        f"{_mib(summary.training_bytes(batch, slots))} with {name}" for name, slots in SLOTS.items()
    )
    return [
        *_table(cells, left=1),
        "",
        f"one image of {size}, {summary.rois} RoIs; a multiply-add is two operations",
        f"memory for {images}, float32, estimated: training {training}; "
        f"inference {_mib(summary.inference_bytes(batch))}",
    ]


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _table(cells: Sequence[Sequence[str]], left: int) -> list[str]:
    """Aligns columns, the first `left` ones to the left, and underlines the header."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
