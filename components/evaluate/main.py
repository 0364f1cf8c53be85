"""Measures the average precision of a model and decides whether it passes."""

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.api.evaluating import Measured
    from frcnn.evaluation.report import Report
    from frcnn.steps.kfp_output import Metadata

log = logging.getLogger("frcnn.step.evaluate")


def parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line. `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="evaluate", description=__doc__)
    flags.add_argument(
        "--spec",
        default="",
        help="experiment spec, protobuf text or file; empty: the one that the conversion suggested",
    )
    flags.add_argument(
        "--records", type=Path, help="folder of records with embedded images, instead of --records-uri"
    )
    flags.add_argument("--records-uri", default="", help="s3:// URI or folder of the records")
    flags.add_argument("--model", type=Path, required=True, help="folder of the model")
    flags.add_argument(
        "--minimum-map", type=float, default=0.0, help="minimum mAP to pass, 0 to 1 (default: 0)"
    )
    flags.add_argument("--baseline-map", type=float, help="mAP of the model to replace")
    flags.add_argument(
        "--tolerance", type=float, default=0.0, help="accepted loss of mAP compared with it (default: 0)"
    )
    flags.add_argument("--former", type=Path, help="report of another model, for comparison in the page")
    flags.add_argument(
        "--report", type=Path, required=True, help="output folder for results, page and curves"
    )
    flags.add_argument("--page", type=Path, help="output file for a copy of the page, shown in the UI")
    flags.add_argument("--confusion", type=Path, help="output file for the confusion matrix shown in the UI")
    flags.add_argument("--mean-ap", type=Path, help="output file for the mAP")
    flags.add_argument("--passed", type=Path, help="output file for the decision, true or false")
    flags.add_argument("--metrics", type=Path, help="output file for the metrics shown in the UI")
    flags.add_argument("--executor-input", metavar="JSON", help="value of the KFP placeholder {{$}}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Evaluates the model.

    Raises:
        DataError: The validation fold has no labeled object of the spec's classes.
        UsageError: No records are given, or their URI is not supported.
    """
    from frcnn.api.evaluating import METRICS, PAGE, measure, write_results
    from frcnn.errors import DataError
    from frcnn.evaluation.html_report import Subject, read_metrics
    from frcnn.files import write_text
    from frcnn.sealing.keys import resolve_key
    from frcnn.settings.evaluation import evaluation_run
    from frcnn.steps.places import records_place
    from frcnn.steps.quality_gate import Gate
    from frcnn.steps.run import model_file, write_parameter
    from frcnn.steps.specs import with_records
    from frcnn.steps.suggested_spec import experiment_or_suggested

    gate = Gate(args.minimum_map, args.baseline_map, args.tolerance)
    former = read_metrics(args.former / METRICS) if args.former else None
    spec = experiment_or_suggested(args.spec, args.records, args.records_uri)
    spec = with_records(spec, records_place(args.records, args.records_uri))
    key = resolve_key(None, spec.enc_key)
    model = model_file(args.model)
    measured = measure(model, evaluation_run(spec), key, analyze=True)
    report = measured.report
    log.info("%d images\n%s", report.images, report.table())
    if report.mean_ap is None:
        raise DataError(
            "mAP is undefined: the validation fold has no labeled object of the spec's classes. Check "
            "target_class_mapping and validation_fold."
        )
    before = "the model before" if former else ""
    subject = Subject(spec.model_config.arch, "the validation fold", before, str(model))
    write_results(measured, args.report, subject, former)
    if args.page:
        shutil.copyfile(args.report / PAGE, args.page)
    confusion = _confusion(measured)
    if args.confusion:
        write_text(args.confusion, json.dumps(confusion))
    objections = gate.objections(report.mean_ap)
    log.info("The model passes" if not objections else f"The model does not pass: {'; '.join(objections)}")
    write_parameter(args.mean_ap, report.mean_ap)
    write_parameter(args.passed, not objections)
    verdict: Metadata = {"passed": not objections, "objections": "; ".join(objections)}
    return {"metrics": _numbers(report), "report": verdict, "confusion": confusion}


def _numbers(report: "Report") -> "Metadata":
    """Returns the mAP at each IoU threshold, and the AP of each class at the first."""
    from frcnn.console.foreign_text import printable

    classes = report.results[0].classes
    return {
        **report.logs(),
        **{f"AP {printable(each.name)}": each.ap for each in classes if each.ap is not None},
    }


def _confusion(measured: "Measured") -> "Metadata":
    """Returns the confusion matrix for KFP: labeled classes in rows, detected ones in columns."""
    from frcnn.console.foreign_text import printable

    if measured.analysis is None:
        raise ValueError("the confusion matrix needs an error analysis")
    table = measured.analysis.confused.table([each.name for each in measured.report.results[0].classes])
    names = [*map(printable, table.names), "nothing"]
    rows = [{"row": row} for row in table.matrix.tolist()]
    return {"confusionMatrix": {"annotationSpecs": [{"displayName": name} for name in names], "rows": rows}}


if __name__ == "__main__":
    sys.exit(main())
