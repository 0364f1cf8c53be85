"""Measures the accuracy cost of each export form: mAP and file size of the model and its ONNX files.

Usage: python -m benchmarks.export_accuracy -e SPEC -m MODEL [--tfrecords GLOB --images DIR]
           [--cal_method minmax entropy percentile] [--batches 10] [--batch_size 16]

Evaluation uses the given records, or the spec's validation set; calibration uses the spec's training records.
docs/export.md quotes the table.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frcnn.data.input.dataset import validation_dataset
from frcnn.evaluation.evaluator import evaluate
from frcnn.exporting.exporter import Calibration, ExportOptions, export_onnx, write_onnx
from frcnn.exporting.int8.calibration import calibrate
from frcnn.exporting.int8.calibration_images import CalibrationImages
from frcnn.inference.open_model import RunOptions, open_for_batches
from frcnn.model.files.checkpoint import load_model
from frcnn.sealing.keys import resolve_key
from frcnn.settings.data import data_settings
from frcnn.settings.evaluation import evaluation_settings
from frcnn.settings.exporting import export_settings
from frcnn.settings.model import expected_model
from frcnn.spec import Experiment, load_experiment

PROFILES = ("cpu", "cpu_vnni", "tensorrt")


def _forms(
    args: argparse.Namespace, spec: Experiment
) -> Iterator[tuple[str, ExportOptions, Calibration | None]]:
    """Generates name, options and calibration (`None` without one) of all export forms."""
    for precision in ("fp32", "fp16"):
        yield f"onnx {precision}", ExportOptions(precision=precision), None
    images = CalibrationImages(args.batches, args.batch_size, tensor_file=args.folder / "images.hdf5")
    for method in args.cal_method:
        measured: list[Any] = []

        def measure(graph: Any, method: str = method, measured: list[Any] = measured) -> Any:
            if not measured:
                start = time.monotonic()
                measured.append(calibrate(graph, images.load(data_settings(spec)), images.count, method))
                print(f"Calibrated with {method} in {time.monotonic() - start:.0f} s", flush=True)
            return measured[0]

        for profile in PROFILES:
            options = ExportOptions(precision="int8", int8_profile=profile)
            yield f"onnx int8 {profile}, {method}", options, measure


def main() -> None:
    """Runs the benchmark and prints the table."""
    args = _arguments()
    spec = load_experiment(args.experiment_spec)
    measured_on = spec.evaluated_on(args.tfrecords, args.images) if args.tfrecords else spec
    key = resolve_key(args.key, spec.enc_key)
    dataset = validation_dataset(data_settings(measured_on), batch_size=spec.evaluation_config.batch_size)

    def mean_ap(path: Path) -> float:
        detector = open_for_batches(
            path, expected_model(measured_on, "inference"), key, RunOptions(as_is=True)
        )
        return evaluate(detector, dataset, evaluation_settings(measured_on)).mean_ap or 0.0

    rows = [("keras", mean_ap(args.model), args.model.stat().st_size)]
    model, _ = load_model(args.model, key)
    with tempfile.TemporaryDirectory() as folder:
        args.folder = Path(folder)
        for name, options, calibration in _forms(args, spec):
            path = args.folder / "model.onnx"
            write_onnx(export_onnx(model, export_settings(spec), options, calibration), path)
            rows.append((name, mean_ap(path), path.stat().st_size))
    print(f"\n{dataset.size} images, calibrated on {args.batches * args.batch_size}\n")
    print("| model | mAP | difference | MB |\n|---|---|---|---|")
    for name, value, size in rows:
        print(f"| {name} | {value:.4f} | {value - rows[0][1]:+.4f} | {size / 1e6:.1f} |")


def _arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.export_accuracy")
    parser.add_argument("-e", "--experiment_spec", type=Path, required=True, help="experiment spec")
    parser.add_argument("-m", "--model", type=Path, required=True, help="trained model")
    parser.add_argument("-k", "--key", help="key of a sealed model")
    parser.add_argument("--tfrecords", help="records to evaluate on (default: the spec's validation set)")
    parser.add_argument("--images", type=Path, help="image folder of --tfrecords")
    parser.add_argument(
        "--cal_method",
        nargs="+",
        default=["minmax", "entropy", "percentile"],
        help="calibration methods (default: minmax entropy percentile)",
    )
    parser.add_argument("--batches", type=int, default=10, help="calibration batches (default: 10)")
    parser.add_argument("--batch_size", type=int, default=16, help="images per batch (default: 16)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
