"""`frcnn evaluate`: a model and the validation set of a spec in, average precision out."""

import argparse
import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn.cli.model_flags import add_model_flags, model_path, runtime_choice
from frcnn.cli.own_files import is_same_file
from frcnn.cli.spec_flags import load_spec
from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.evaluation.inspection import Inspection
    from frcnn.evaluation.report import Report
    from frcnn.spec import Experiment

HELP = "Measure the average precision of a model on the validation set."
EXAMPLES = """\
  frcnn evaluate -e spec.txt -m results/frcnn_resnet_18.epoch_12.tlt
  frcnn evaluate -e spec.txt -m model.keras -r evaluation    report.html, metrics.json, ... go there
  frcnn evaluate -e spec.txt -m pruned.keras -r after --compare before/metrics.json
  frcnn evaluate -e spec.txt -m model.onnx --runtime openvino
  frcnn evaluate -e spec.txt -m model.keras --tfrecords 'records/test-*' --images data/test
"""

# Two runs would mix their files in one results folder.
ONE_WRITER = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the task's flags."""
    add_model_flags(parser, "evaluation_config.model")
    parser.add_argument(
        "-r",
        "--results_dir",
        type=Path,
        metavar="DIR",
        help="where report.html, metrics.json, status.json and the curves go",
    )
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="JSON",
        help="metrics.json of another model on the same images: report.html shows what changed",
    )
    parser.add_argument(
        "--tfrecords", metavar="GLOB", help="evaluate on these records instead of the spec's validation set"
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="image folder of --tfrecords, else of the spec's validation set",
    )
    parser.add_argument("--strict", action="store_true", help="an image that cannot be read is an error")


def run(args: argparse.Namespace) -> Mapping[str, object]:
    """Evaluates, prints the table, and writes the numbers and curves that are asked for."""
    from frcnn.evaluation.html_report import Subject, inspection_for, save_html
    from frcnn.files import write_text
    from frcnn.sealing.keys import resolve_key

    spec = load_spec(args)
    if args.tfrecords is not None:
        spec = spec.evaluated_on(args.tfrecords, args.images)
    elif args.images is not None:
        spec = with_images(spec, args.images)
    former = _former(args)
    model = model_path(args.model, spec, "evaluation_config")
    inspection = inspection_for(spec) if args.results_dir is not None else None
    key = resolve_key(args.key, spec.enc_key)
    report = _evaluate(args, model, spec, key, inspection)
    sys.stdout.write(f"{report.table()}\n")
    if inspection is not None:
        path = args.results_dir / "metrics.json"
        write_text(path, report.to_json())
        page = args.results_dir / "report.html"
        data = args.tfrecords or "the validation set"
        subject = Subject(model.name, data, str(args.compare) if args.compare else "")
        save_html(page, report, inspection, subject, former)
        sys.stdout.write(f"metrics: {path}\nreport: {page}\n")
    if spec.evaluation_config.visualize_pr_curve:
        from frcnn.evaluation.plots import save_curves

        for path in save_curves(report, args.results_dir or model.parent):
            sys.stdout.write(f"precision-recall curve: {path}\n")
    return {"kpi": report.logs()}


def with_images(spec: "Experiment", folder: Path) -> "Experiment":
    """Returns the spec with another folder for the images of its validation set.

    Raises:
        UsageError: There is no such folder, or there are several sets.
    """
    if not folder.is_dir():
        raise UsageError(f"--images {folder}: no such folder")
    data = spec.dataset_config
    if data.validation_data_source is not None:
        source = dataclasses.replace(data.validation_data_source, image_directory_path=str(folder))
        data = dataclasses.replace(data, validation_data_source=source)
    elif len(data.data_sources) == 1:
        source = dataclasses.replace(data.data_sources[0], image_directory_path=str(folder))
        data = dataclasses.replace(data, data_sources=(source,))
    else:
        raise UsageError(
            f"--images {folder}: the spec has {len(data.data_sources)} data_sources; add --tfrecords, or set "
            "dataset_config.data_sources[N].image_directory_path with --set"
        )
    return dataclasses.replace(spec, dataset_config=data)


def _former(args: argparse.Namespace) -> Mapping[str, Any] | None:
    """The metrics to compare with.

    Raises:
        UsageError: They are not what evaluate writes, or there is no report to show them in.
    """
    if args.compare is None:
        return None
    if args.results_dir is None:
        raise UsageError("--compare goes with -r: the comparison is shown in report.html there")
    from frcnn.evaluation.html_report import read_metrics

    if is_same_file(args.compare, args.results_dir / "metrics.json"):
        raise UsageError(
            f"--compare {args.compare} is in the folder that -r names, and would be replaced; name another "
            f"folder"
        )
    return read_metrics(args.compare)


def _evaluate(
    args: argparse.Namespace, model: Path, spec: "Experiment", key: str, inspection: "Inspection | None"
) -> "Report":
    from frcnn.data.input.dataset import validation_dataset
    from frcnn.evaluation.evaluator import evaluate
    from frcnn.inference.load import load_detector

    runtime = runtime_choice(args)
    # The data first: what is wrong with it shows sooner than a model is loaded.
    dataset = validation_dataset(spec, batch_size=spec.evaluation_config.batch_size, strict=args.strict)
    detector = load_detector(model, spec, key, "evaluation", runtime, as_is=args.as_is)
    return evaluate(detector, dataset, spec, inspection=inspection)
