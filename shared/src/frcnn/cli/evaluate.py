"""`frcnn evaluate`: computes the average precision of a model on the validation set."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.cli.model_flags import add_model_flags, model_extras, model_path
from frcnn.cli.spec_flags import load_spec, with_images

if TYPE_CHECKING:
    from frcnn.api.evaluating import EvaluationResult

HELP = "Compute the average precision of a model on the validation set."
EXAMPLES = """\
  frcnn evaluate -e spec.txt -m results/frcnn_resnet_18.epoch_12.keras
  frcnn evaluate -e spec.txt -m model.keras -r evaluation    writes report.html, metrics.json, ...
  frcnn evaluate -e spec.txt -m pruned.keras -r after --compare before/metrics.json
  frcnn evaluate -e spec.txt -m model.onnx --runtime openvino
  frcnn evaluate -e spec.txt -m model.keras --tfrecords 'records/test-*' --images data/test
"""

# Concurrent runs would mix their files in the results folder.
ONE_WRITER = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    add_model_flags(parser, "evaluation_config.model")
    parser.add_argument(
        "-r",
        "--results_dir",
        type=Path,
        metavar="DIR",
        help="folder for report.html, metrics.json, status.json and the curves",
    )
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="JSON",
        help="metrics.json of another model on the same images; report.html shows the differences",
    )
    parser.add_argument(
        "--tfrecords", metavar="GLOB", help="record files to evaluate on (default: the spec's validation set)"
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="image folder of --tfrecords or, without it, of the spec's validation set",
    )
    parser.add_argument("--strict", action="store_true", help="fail on images that cannot be read")


def extras(args: argparse.Namespace) -> str:
    """Returns the extras that the command needs."""
    return model_extras(args, "evaluate")


def run(args: argparse.Namespace) -> Mapping[str, object]:
    """Evaluates the model, and prints the table and the paths of the results.

    Returns:
        Metrics for the status file.
    """
    from frcnn.api.evaluating import PAGE, evaluate
    from frcnn.evaluation.advice import next_steps
    from frcnn.sealing.keys import resolve_key
    from frcnn.settings.model import named_model

    spec = load_spec(args)
    if args.images is not None and args.tfrecords is None:
        spec = with_images(spec, args.images)
    named = named_model(spec, "evaluation")
    model = model_path(args.model, named, "evaluation_config", spec.source)
    result = evaluate(
        model,
        spec,
        results_dir=args.results_dir,
        tfrecords=args.tfrecords,
        images=args.images if args.tfrecords is not None else None,
        compare=args.compare,
        key=resolve_key(args.key, spec.enc_key),
        runtime=args.runtime or "auto",
        precision_hint=args.precision_hint or None,
        as_is=args.as_is,
        strict=args.strict,
    )
    sys.stdout.write(f"{result.table()}\n")
    names = {"metrics.json": "metrics", PAGE: "report"}
    curves = spec.evaluation_config.visualize_pr_curve and args.results_dir is None
    for path in [*result.files, *(_curves_beside(model, result) if curves else ())]:
        sys.stdout.write(f"{names.get(path.name, 'precision-recall curve')}: {path}\n")
    if advice := next_steps(result.report.to_dict()):
        sys.stdout.write(f"{advice}\n")
    return {"kpi": result.report.logs()}


def _curves_beside(model: Path, result: "EvaluationResult") -> Sequence[Path]:
    """Saves the curves next to the model."""
    from frcnn.evaluation.plots import save_curves

    return save_curves(result.report, model.parent)
