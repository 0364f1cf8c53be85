"""`frcnn evaluate`: a model and the validation set of a spec in, average precision out."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.cli.model_flags import add_model_flags, model_path
from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.evaluate.report import Report
    from frcnn.spec import Experiment

HELP = "Measure the average precision of a model on the validation set."
EXAMPLES = """\
  frcnn evaluate -e spec.txt -m results/frcnn_resnet_18.epoch_12.tlt
  frcnn evaluate -e spec.txt -m model.keras -r evaluation    metrics.json, status.json, curves go there
  frcnn evaluate -e spec.txt -m model.keras --tfrecords 'records/test-*' --images data/test
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the task's flags."""
    add_model_flags(parser, "evaluation_config.model")
    parser.add_argument(
        "-r",
        "--results_dir",
        type=Path,
        metavar="DIR",
        help="where metrics.json, status.json and the curves go",
    )
    parser.add_argument(
        "--tfrecords", metavar="GLOB", help="evaluate on these records instead of the spec's validation set"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="image folder of --tfrecords, if they hold no images"
    )
    parser.add_argument("--strict", action="store_true", help="an image that cannot be read is an error")


def run(args: argparse.Namespace) -> Mapping[str, object]:
    """Evaluates, prints the table, and writes the numbers and curves that are asked for."""
    from frcnn.runtime.files import write_text
    from frcnn.runtime.keys import resolve_key
    from frcnn.spec import load_experiment

    spec = load_experiment(args.experiment_spec)
    if args.tfrecords is not None:
        spec = spec.evaluated_on(args.tfrecords, args.images)
    elif args.images is not None:
        raise UsageError("--images goes with --tfrecords: give both, or neither")
    model = model_path(args.model, spec, "evaluation_config")
    report = _evaluate(model, spec, resolve_key(args.key, spec.enc_key), strict=args.strict)
    sys.stdout.write(f"{report.table()}\n")
    if args.results_dir is not None:
        path = args.results_dir / "metrics.json"
        write_text(path, report.to_json())
        sys.stdout.write(f"metrics: {path}\n")
    if spec.evaluation_config.visualize_pr_curve:
        from frcnn.evaluate.plots import save_curves

        for path in save_curves(report, args.results_dir or model.parent):
            sys.stdout.write(f"precision-recall curve: {path}\n")
    return {"kpi": report.logs()}


def _evaluate(model: Path, spec: "Experiment", key: str, *, strict: bool) -> "Report":
    from frcnn.cli.detectors import load_detector
    from frcnn.data.pipeline import validation_dataset
    from frcnn.evaluate.evaluator import evaluate

    # The data first: what is wrong with it shows sooner than a model is loaded.
    dataset = validation_dataset(spec, batch_size=spec.evaluation_config.batch_size, strict=strict)
    return evaluate(load_detector(model, spec, key, mode="evaluation"), dataset, spec)
