"""`frcnn evaluate`: computes the average precision of a model on the validation set."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.cli.model_flags import add_model_flags, model_extras, model_path
from frcnn.cli.spec_flags import load_spec, with_images
from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.api.evaluating import EvaluationResult
    from frcnn.data.settings import DataSettings

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
        help="image folder of --tfrecords or, without it, of the spec's validation set; for records "
        "without embedded images",
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
    from frcnn.model.files.training_record import trained_epochs
    from frcnn.sealing.keys import resolve_key
    from frcnn.settings.data import data_settings
    from frcnn.settings.model import named_model

    spec = load_spec(args)
    if args.images is not None and args.tfrecords is None:
        spec = with_images(spec, args.images)
        _check_images_used(data_settings(spec), args.images)
    named = named_model(spec, "evaluation")
    model = model_path(args.model, named, "evaluation_config", spec.source)
    key = resolve_key(args.key, spec.enc_key)
    result = evaluate(
        model,
        spec,
        results_dir=args.results_dir,
        tfrecords=args.tfrecords,
        images=args.images if args.tfrecords is not None else None,
        compare=args.compare,
        key=key,
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
    if advice := next_steps(result.report.to_dict(), trained_epochs(model, key)):
        sys.stdout.write(f"{advice}\n")
    return {"kpi": result.report.logs()}


def _check_images_used(data: "DataSettings", folder: Path) -> None:
    """Checks that the validation records read their images from a folder.

    Raises:
        UsageError: They contain their images, so the result would be that of the old images.
    """
    from frcnn.data.input.embedded_images import validation_images_are_embedded

    if validation_images_are_embedded(data):
        raise UsageError(
            f"--images {folder}: the validation records contain their images, so the folder would not be "
            "used. Omit --images; to evaluate on other images, convert them and pass their records with "
            "--tfrecords (docs/evaluation.md)."
        )


def _curves_beside(model: Path, result: "EvaluationResult") -> Sequence[Path]:
    """Saves the curves next to the model."""
    from frcnn.evaluation.plots import save_curves

    return save_curves(result.report, model.parent)
