"""Measures the average precision of a model, and decides whether it is good enough."""

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.evaluation.inspection import Inspection
    from frcnn.evaluation.report import Report
    from frcnn.steps.kfp_output import Metadata

log = logging.getLogger("frcnn.step.evaluate")

METRICS, PAGE = "metrics.json", "report.html"


def parser() -> argparse.ArgumentParser:
    """The command line; `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="evaluate", description=__doc__)
    flags.add_argument("--spec", required=True, help="experiment spec, protobuf text or a file's name")
    flags.add_argument("--records", type=Path, required=True, help="folder of records with their images")
    flags.add_argument("--model", type=Path, required=True, help="the model")
    flags.add_argument("--minimum-map", type=float, default=0.0, help="least mAP that passes, 0 to 1")
    flags.add_argument("--baseline-map", type=float, help="mAP of the model to take the place of")
    flags.add_argument("--tolerance", type=float, default=0.0, help="how far below that is good enough")
    flags.add_argument("--former", type=Path, help="report of the model that the page compares with")
    flags.add_argument("--report", type=Path, required=True, help="folder for numbers, page and curves")
    flags.add_argument("--page", type=Path, help="file for another copy of the page, for the UI")
    flags.add_argument("--confusion", type=Path, help="file for the confusion matrix that the UI shows")
    flags.add_argument("--mean-ap", type=Path, help="file to write the mAP to")
    flags.add_argument("--passed", type=Path, help="file to write true or false to")
    flags.add_argument("--metrics", type=Path, help="file for the numbers that the UI shows")
    flags.add_argument("--executor-input", metavar="JSON", help="what KFP puts in place of {{$}}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Evaluates."""
    from frcnn.data.input.dataset import validation_dataset
    from frcnn.errors import DataError
    from frcnn.evaluation.evaluator import evaluate
    from frcnn.evaluation.html_report import Subject, inspection_for, read_metrics, save_html
    from frcnn.evaluation.plots import save_curves
    from frcnn.files import write_text
    from frcnn.inference.load import load_detector
    from frcnn.sealing.keys import resolve_key
    from frcnn.spec.overrides import experiment_given, with_records
    from frcnn.steps.quality_gate import Gate
    from frcnn.steps.run import model_file, write_parameter

    gate = Gate(args.minimum_map, args.baseline_map, args.tolerance)
    former = read_metrics(args.former / METRICS) if args.former else None
    spec = with_records(experiment_given(args.spec), args.records)
    dataset = validation_dataset(spec, batch_size=spec.evaluation_config.batch_size)
    detector = load_detector(model_file(args.model), spec, resolve_key(None, spec.enc_key))
    inspection = inspection_for(spec)
    report = evaluate(detector, dataset, spec, inspection=inspection)
    log.info("%d images\n%s", report.images, report.table())
    if report.mean_ap is None:
        raise DataError(
            "mAP is not defined: the validation fold has no labelled object of the spec's classes"
        )
    write_text(args.report / METRICS, report.to_json())
    save_curves(report, args.report)
    subject = Subject(spec.model_config.arch, "the validation fold", "the model before" if former else "")
    save_html(args.report / PAGE, report, inspection, subject, former)
    if args.page:
        shutil.copyfile(args.report / PAGE, args.page)
    confusion = _confusion(report, inspection)
    if args.confusion:
        write_text(args.confusion, json.dumps(confusion))
    objections = gate.objections(report.mean_ap)
    log.info("good enough to go on" if not objections else f"not good enough: {'; '.join(objections)}")
    write_parameter(args.mean_ap, report.mean_ap)
    write_parameter(args.passed, not objections)
    verdict: Metadata = {"passed": not objections, "objections": "; ".join(objections)}
    return {"metrics": _numbers(report), "report": verdict, "confusion": confusion}


def _numbers(report: "Report") -> "Metadata":
    """The mAP for each IoU threshold, and the AP of each class at the first."""
    from frcnn.console.foreign_text import printable

    classes = report.results[0].classes
    return {
        **report.logs(),
        **{f"AP {printable(each.name)}": each.ap for each in classes if each.ap is not None},
    }


def _confusion(report: "Report", inspection: "Inspection") -> "Metadata":
    """The confusion matrix as KFP shows it: rows what was labelled, columns what was found."""
    from frcnn.console.foreign_text import printable

    table = inspection.confused.table([each.name for each in report.results[0].classes])
    names = [*map(printable, table.names), "nothing"]
    rows = [{"row": row} for row in table.matrix.tolist()]
    return {"confusionMatrix": {"annotationSpecs": [{"displayName": name} for name in names], "rows": rows}}


if __name__ == "__main__":
    sys.exit(main())
