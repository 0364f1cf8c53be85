"""Prunes and retrains a trained detector at several sizes; prints what each costs and finds.

python -m benchmarks.compression -e examples/specs/bccd_resnet18.txt \
    -m runs/bccd/results/frcnn_resnet_18.epoch_20.keras \
    --tfrecords 'runs/bccd/records/test-*' --images runs/bccd/data/test -o runs/compression/resnet18

Every step is a command of `frcnn`, printed as it runs. What is done is not done again: the same command
goes on where it stopped. Latency is measured last, all models in turns in one process.
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

KEPT_PARAMETERS = (0.5, 0.3, 0.15)
LATENCY_RUNS = 30
WARM_UP_RUNS = 3
# Of the spec's schedule; weights that were trained need no more than this much of its rate.
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
    """A model and what is known of it: parameters, operations an image, bytes, mAP, seconds an image."""

    name: str
    model: Path
    params: int = 0
    flops: int = 0
    size: int = 0
    mean_ap: float = 0.0
    seconds: float = 0.0


def measured(args: argparse.Namespace) -> list[Row]:
    """Baseline, and for each size the pruned and the retrained model, with all figures."""
    rows = [Row("baseline", args.model)]
    for keep in args.keep:
        folder = args.output / f"keep_{keep:g}"
        pruned = folder / "pruned.keras"
        _once(pruned, "prune", "-m", args.model, "-o", pruned, "--target_params", keep)
        rows.append(Row(f"pruned to {keep:.0%}", pruned))
        rows.append(Row("  retrained", _retrained(args, folder, pruned)))
    rows = [_judged(args, row) for row in rows]
    return latencies(rows, args.experiment_spec)


def _retrained(args: argparse.Namespace, folder: Path, pruned: Path) -> Path:
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
    """The row with everything but its latency."""
    folder = args.output / "evaluated" / Path(*row.model.parts[-3:]).with_suffix("")
    sample = ["--tfrecords", args.tfrecords, "--images", args.images] if args.tfrecords else []
    metrics = folder / "metrics.json"
    _once(metrics, "evaluate", "-e", args.experiment_spec, "-m", row.model, "-r", folder, *sample)
    params, flops, size = _size(row.model, folder / "plain.keras")
    mean_ap = float(json.loads(metrics.read_text())["mAP"])
    return dataclasses.replace(row, params=params, flops=flops, size=size, mean_ap=mean_ap)


def _size(model_path: Path, copy: Path) -> tuple[int, int, int]:
    """Parameters, operations an image, and bytes of the file without the optimizer's state."""
    from frcnn.model.files.checkpoint import load_model, save_model
    from frcnn.pruning.prune import plan_detector
    from frcnn.pruning.settings import PruneSettings

    model, record = load_model(model_path)
    save_model(model, copy, record)
    cost = plan_detector(model, PruneSettings(pruning_threshold=0.0)).report.before
    size = copy.stat().st_size
    copy.unlink()
    return cost.params, cost.flops, size


def latencies(rows: Sequence[Row], spec_path: Path) -> list[Row]:
    """The rows with the median seconds an image, all models in turns so that they meet the same machine."""
    import numpy as np

    from frcnn.model.files.checkpoint import load_detector
    from frcnn.spec import load_experiment

    spec = load_experiment(spec_path)
    detectors = [load_detector(row.model, spec, mode="inference") for row in rows]
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
    if not product.is_file():
        _frcnn(*words)


def _frcnn(*words: object) -> None:
    command = ["frcnn", *map(str, words)]
    sys.stderr.write(f"$ {shlex.join(command)}\n")
    subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)


def table(rows: Sequence[Row]) -> Table:
    """Figures, and how they compare with the first row."""
    first = rows[0]
    shown = Table(title="mAP and cost after pruning and retraining")
    shown.add_column("model")
    for heading in ("parameters", "", "GFLOP", "file MB", "ms an image", "times as fast", "mAP", "change"):
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
    """Runs it; 0 when done."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("-e", "--experiment_spec", type=Path, required=True)
    flags.add_argument("-m", "--model", type=Path, required=True, help="the trained, plain model")
    flags.add_argument("--tfrecords", help="what is evaluated on; default: the spec's validation set")
    flags.add_argument("--images", type=Path, help="image folder of --tfrecords")
    flags.add_argument("--keep", type=float, nargs="+", default=KEPT_PARAMETERS, help="shares of parameters")
    flags.add_argument("--epochs", type=int, default=20, help="of retraining (default: 20)")
    flags.add_argument("--use_amp", action="store_true", help="retrain in 16 bits")
    flags.add_argument("-o", "--output", type=Path, required=True)
    args = flags.parse_args()
    conditions = Conditions(threads=0)
    rows = measured(args)
    console = Console(width=120)
    console.print(table(rows))
    for line in conditions.lines():
        console.print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
