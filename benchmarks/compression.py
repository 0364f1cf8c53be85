"""Prunes and retrains a detector to several sizes; prints cost and mAP of each.

    python -m benchmarks.compression -e SPEC -m MODEL -o OUT [--tfrecords GLOB --images DIR]
        [--keep 0.5 0.3 0.15] [--epochs 20] [--use_amp]

Every step is an `frcnn` command, which is printed. Completed steps are skipped, so the same command resumes
an interrupted run. Latency is measured last, with all models alternately in one process. See
docs/compression.md for an example.
"""

import argparse
import dataclasses
import json
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.conditions import Conditions
from frcnn.settings.model import expected_model

KEPT_PARAMETERS = (0.5, 0.3, 0.15)
LATENCY_RUNS = 30
WARM_UP_RUNS = 3
# Text appended to the spec for retraining.
OVERRIDES = """
# Appended by benchmarks.compression; later values replace earlier ones.
training_config {{
  retrain_pruned_model: "{pruned}"
  num_epochs: {epochs}
  checkpoint_interval: {epochs}
  regularizer {{ type: NO_REG }}
}}
evaluation_config {{ validation_period_during_training: {epochs} }}
"""


@dataclasses.dataclass(frozen=True)
class Row:
    """A model and its measurements.

    Attributes:
        name: Name in the table.
        model: Model file.
        params: Number of parameters.
        flops: Operations per image.
        size: Size of the file without optimizer state, bytes.
        mean_ap: mAP.
        seconds: Median latency, seconds per image.
    """

    name: str
    model: Path
    params: int = 0
    flops: int = 0
    size: int = 0
    mean_ap: float = 0.0
    seconds: float = 0.0


def _measured(args: argparse.Namespace) -> list[Row]:
    """Prunes, retrains and measures all models. Steps with existing results are skipped.

    Returns:
        Rows of the baseline, then of the pruned and the retrained model of each size.
    """
    rows = [Row("baseline", args.model)]
    for keep in args.keep:
        folder = args.output / f"keep_{keep:g}"
        pruned = folder / "pruned.keras"
        _once(pruned, "prune", "-m", args.model, "-o", pruned, "--target_params", keep)
        rows.append(Row(f"pruned to {keep:.0%}", pruned))
        rows.append(Row("  retrained", _retrained(args, folder, pruned)))
    rows = [_judged(args, row) for row in rows]
    return _latencies(rows, args.experiment_spec)


def _retrained(args: argparse.Namespace, folder: Path, pruned: Path) -> Path:
    """Retrains the pruned model, unless its last checkpoint exists, and returns that checkpoint."""
    spec = folder / "retrain.txt"
    spec.write_text(
        args.experiment_spec.read_text() + OVERRIDES.format(pruned=pruned.resolve(), epochs=args.epochs)
    )
    results = folder / "retrained"
    done = next(iter(sorted(results.glob(f"*.epoch_{args.epochs}.keras"))), None)
    if done is None:
        _frcnn("train", "-e", spec, "-r", results, *(["--use_amp"] if args.use_amp else []))
        (done,) = results.glob(f"*.epoch_{args.epochs}.keras")
    return done


def _judged(args: argparse.Namespace, row: Row) -> Row:
    """Returns the row with all measurements except latency."""
    folder = args.output / "evaluated" / Path(*row.model.parts[-3:]).with_suffix("")
    sample = ["--tfrecords", args.tfrecords, "--images", args.images] if args.tfrecords else []
    metrics = folder / "metrics.json"
    _once(metrics, "evaluate", "-e", args.experiment_spec, "-m", row.model, "-r", folder, *sample)
    params, flops, size = _size(row.model, folder / "plain.keras")
    mean_ap = float(json.loads(metrics.read_text())["mAP"])
    return dataclasses.replace(row, params=params, flops=flops, size=size, mean_ap=mean_ap)


def _size(model_path: Path, copy: Path) -> tuple[int, int, int]:
    """Returns parameters, operations per image, and bytes of the file without optimizer state."""
    from frcnn.model.files.checkpoint import load_model, save_model
    from frcnn.pruning.prune import plan_detector
    from frcnn.pruning.settings import PruneSettings

    model, record = load_model(model_path)
    save_model(model, copy, record)
    cost = plan_detector(model, PruneSettings(pruning_threshold=0.0)).report.before
    size = copy.stat().st_size
    copy.unlink()
    return cost.params, cost.flops, size


def _latencies(rows: Sequence[Row], spec_path: Path) -> list[Row]:
    """Measures the median seconds per image of all models in turns, so that load affects all alike."""
    import numpy as np

    from frcnn.model.files.trained_detector import load_detector
    from frcnn.spec import load_experiment

    spec = load_experiment(spec_path)
    detectors = [load_detector(row.model, expected_model(spec, "inference")) for row in rows]
    geometry = detectors[0].model.geometry
    shape = (1, geometry.height, geometry.width, geometry.channels)
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    seconds: list[list[float]] = [[] for _ in rows]
    for turn in range(WARM_UP_RUNS + LATENCY_RUNS):
        for detector, times in zip(detectors, seconds, strict=True):
            start = time.perf_counter()
            detector(image)
            if turn >= WARM_UP_RUNS:
                times.append(time.perf_counter() - start)
    medians = map(statistics.median, seconds)
    return [dataclasses.replace(row, seconds=each) for row, each in zip(rows, medians, strict=True)]


def _once(product: Path, *words: object) -> None:
    """Runs an `frcnn` command unless the file that it makes exists."""
    if not product.is_file():
        _frcnn(*words)


def _frcnn(*words: object) -> None:
    """Prints and runs an `frcnn` command."""
    command = ["frcnn", *map(str, words)]
    sys.stderr.write(f"$ {shlex.join(command)}\n")
    subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)


def _table(rows: Sequence[Row]) -> Table:
    """Makes a table of the measurements, also relative to the first row."""
    first = rows[0]
    shown = Table(title="mAP and cost after pruning and retraining")
    shown.add_column("model")
    for heading in ("parameters", "", "GFLOP", "file MB", "ms per image", "speedup", "mAP", "change"):
        shown.add_column(heading, justify="right")
    for row in rows:
        shown.add_row(
            row.name,
            f"{row.params / 1e6:.2f} M",
            f"{row.params / first.params:.1%}",
            f"{row.flops / 1e9:.1f}",
            f"{row.size / 1e6:.1f}",
            f"{1e3 * row.seconds:.0f}",
            f"{first.seconds / row.seconds:.2f}",
            f"{row.mean_ap:.4f}",
            f"{row.mean_ap - first.mean_ap:+.4f}",
        )
    return shown


def main() -> int:
    """Runs the benchmark and returns the exit code 0."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("-e", "--experiment_spec", type=Path, required=True, help="experiment spec")
    flags.add_argument("-m", "--model", type=Path, required=True, help="trained model, not sealed")
    flags.add_argument("--tfrecords", help="records to evaluate on (default: the spec's validation set)")
    flags.add_argument("--images", type=Path, help="image folder of --tfrecords")
    flags.add_argument(
        "--keep",
        type=float,
        nargs="+",
        default=KEPT_PARAMETERS,
        help="fractions of parameters to keep (default: 0.5 0.3 0.15)",
    )
    flags.add_argument("--epochs", type=int, default=20, help="epochs of retraining (default: 20)")
    flags.add_argument("--use_amp", action="store_true", help="retrain in mixed precision")
    flags.add_argument("-o", "--output", type=Path, required=True, help="output folder")
    args = flags.parse_args()
    conditions = Conditions(threads=0)
    rows = _measured(args)
    console = Console(width=120)
    console.print(_table(rows))
    console.print("\n".join(conditions.lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
