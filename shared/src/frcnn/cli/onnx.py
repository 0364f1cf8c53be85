"""`frcnn onnx verify`: compares the detections of an exported model with those of its original."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.cli.model_flags import add_runtime_flags, found_model, model_extras
from frcnn.cli.shared_flags import OR_RESULTS
from frcnn.cli.spec_flags import add_spec_flags, load_spec
from frcnn.errors import RunError

if TYPE_CHECKING:
    from frcnn.settings.evaluation import EvaluationRun

HELP = "Compare an exported model with the model it was exported from, on real images."
EXAMPLES = """\
  frcnn onnx verify model.onnx --against model.keras -e spec.txt --images data/test
  frcnn onnx verify model.onnx --against model.keras -e spec.txt --images data/test --map
  frcnn onnx verify model.onnx --against model.onnx -e spec.txt --images data/test --runtime openvino
"""

_MAP_TOLERANCE = {"fp32": 0.001, "fp16": 0.01, "int8": 0.02}
_NEXT_STEP = {
    "fp32": "Check that it was exported from that model, with this spec.",
    "fp16": "Compare the mAP with --map; if it is lower, export as fp32.",
    "int8": "Compare the mAP with --map; if it is lower, calibrate on more images, or train with enable_qat.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    add = parser.add_argument
    add("action", choices=("verify",), help="action")
    add("model", type=Path, metavar="MODEL", help="exported model (.onnx or .etlt) or engine")
    add(
        "--against",
        type=Path,
        required=True,
        metavar="FILE",
        help=f"model it was exported from, {OR_RESULTS}",
    )
    add_spec_flags(parser, "experiment spec used for the export")
    add("--images", type=Path, required=True, metavar="DIR", help="folder of images to compare on")
    add_runtime_flags(parser)
    add("-k", "--key", "--enc_key", metavar="KEY", help="key of the files (safer: FRCNN_KEY, or -k @FILE)")
    add("--limit", type=int, metavar="N", help="number of images, evenly spaced (default: all)")
    add("--map", action="store_true", help="also compare the mAP on the spec's validation set")
    add(
        "--box_tolerance",
        type=float,
        metavar="PX",
        help="largest difference of a box coordinate, px (default: 0.5; fp16: 2, int8: 8)",
    )
    add(
        "--score_tolerance",
        type=float,
        metavar="S",
        help="largest difference of a score (default: 0.001; fp16: 0.02, int8: 0.2)",
    )
    add(
        "--unmatched",
        type=float,
        metavar="SHARE",
        help="largest fraction of detections without a match (default: 0; fp16: 0.05, int8: 0.25)",
    )
    add(
        "--map_tolerance",
        type=float,
        metavar="M",
        help="largest difference of the mAP (default: 0.001; fp16: 0.01, int8: 0.02)",
    )
    add("-r", "--results_dir", type=Path, metavar="DIR", help="folder for status.json")


def extras(args: argparse.Namespace) -> str:
    """Returns the extras that the command needs."""
    return model_extras(args, "evaluate" if args.map else "inference")


def run(args: argparse.Namespace) -> dict[str, object]:
    """Prints the table of differences.

    Returns:
        Differences for the status file.

    Raises:
        RunError: The differences exceed the tolerance.
    """
    from frcnn.api.comparing import compare
    from frcnn.sealing.keys import resolve_key
    from frcnn.settings.evaluation import evaluation_run
    from frcnn.settings.model import expected_model

    spec = load_spec(args)
    key = resolve_key(args.key, spec.enc_key)
    args.model, args.against = found_model(args.model), found_model(args.against)
    found = compare(
        args.model,
        args.against,
        args.images,
        spec=spec,
        limit=args.limit,
        box_tolerance=args.box_tolerance,
        score_tolerance=args.score_tolerance,
        unmatched=args.unmatched,
        key=key,
        runtime=args.runtime or "auto",
        precision_hint=args.precision_hint or None,
    )
    sys.stdout.write(f"{found.table}\n")
    faults = [] if found.ok else [f"{100 * found.unmatched:.3f} % of the detections differ"]
    kpi: dict[str, object] = {"unmatched": found.unmatched, "box_error": found.box_error}
    if args.map:
        limit = _MAP_TOLERANCE[found.precision] if args.map_tolerance is None else args.map_tolerance
        settings = dataclasses.replace(evaluation_run(spec), expected=expected_model(spec, "inference"))
        difference = _map_difference(args, settings, key, limit)
        kpi["map_difference"] = difference
        if abs(difference) > limit:
            faults.append(f"mAP differs by {difference:+.4f}")
    if faults:
        what = f"{args.model}: differs from {args.against}: {'; '.join(faults)}"
        raise RunError(f"{what}. {_NEXT_STEP[found.precision]}")
    return {"kpi": kpi}


def _map_difference(args: argparse.Namespace, settings: "EvaluationRun", key: str, limit: float) -> float:
    """Returns the mAP of the exported model minus that of its original, with inference_config settings."""
    from frcnn.api.evaluating import measure
    from frcnn.inference.open_model import RunOptions

    exported = RunOptions(args.runtime or "auto", precision_hint=args.precision_hint or None, as_is=True)
    models = ((args.against, RunOptions(as_is=True)), (args.model, exported))
    values = [measure(model, settings, key, options).report.mean_ap for model, options in models]
    before, after = (0.0 if value is None else value for value in values)
    sys.stdout.write(f"mAP: reference {before:.4f}, exported {after:.4f}, tolerance {limit:g}\n")
    return after - before
