"""Compares the speed of exported models with torchvision's FasterRCNN and prints a table.

python -m benchmarks.run_export
python -m benchmarks.run_export --int8 model_int8.onnx --json times.json

All workers run alternately. README.md explains the comparison and the table.
"""

import argparse
import dataclasses
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.conditions import Conditions
from benchmarks.peer_python import add_measurement_flags
from benchmarks.run_speed import SETTLE_SECONDS, worker_environment
from benchmarks.settings import SETTINGS
from benchmarks.workers import Worker, WorkerError

logger = logging.getLogger("benchmarks.run_export")


@dataclasses.dataclass(frozen=True)
class Row:
    """One variant of running the model.

    Attributes:
        name: Name in the table.
        form: Form of the exported file, a key of `export_models.FORMS`.
        runtime: `onnxruntime` or `openvino`.
        precision_hint: Precision in which the runtime computes; empty for its default.
        peer: Precision of torchvision in this row: `float32` or `bfloat16`.
        target: Minimum speedup over torchvision; `None` without a target.
        fast_head: Whether the runtime gets the graph that `frcnn evaluate` and `inference` make, instead of
            the file's own graph.
    """

    name: str
    form: str
    runtime: str
    precision_hint: str = ""
    peer: str = "float32"
    target: float | None = None
    fast_head: bool = False


ROWS = (
    Row("fp32, onnxruntime", "fp32", "onnxruntime", target=1.0),
    Row("fp32, openvino", "fp32", "openvino", target=1.0),
    Row("fp32 --cpu_fast_head, onnxruntime", "fast_head", "onnxruntime", target=1.5),
    Row("fp32 --cpu_fast_head, openvino", "fast_head", "openvino", target=1.5),
    Row("fp32 in frcnn, onnxruntime", "fp32", "onnxruntime", target=1.5, fast_head=True),
    Row("fp32 in frcnn, openvino", "fp32", "openvino", target=1.5, fast_head=True),
    Row("bf16, openvino", "fp32", "openvino", "bf16", peer="bfloat16", target=1.25),
    Row("bf16 in frcnn, openvino", "fp32", "openvino", "bf16", "bfloat16", target=1.25, fast_head=True),
    Row("int8, onnxruntime", "int8", "onnxruntime", target=2.8),
    Row("int8, openvino", "int8", "openvino", target=3.5),
)


@dataclasses.dataclass
class Times:
    """Measurements of one worker, in chronological order.

    Attributes:
        wall: Seconds per image.
        cpu: CPU seconds per image.
        report: Final report of the worker.
    """

    wall: list[float] = dataclasses.field(default_factory=list)
    cpu: list[float] = dataclasses.field(default_factory=list)
    report: dict[str, Any] = dataclasses.field(default_factory=dict)


def _make_models(folder: Path, rows: list[Row], int8: Path | None) -> dict[str, Path]:
    """Exports the models that the rows need and `int8` does not give, by form."""
    forms = sorted({row.form for row in rows})
    given = {"int8": int8} if int8 is not None else {}
    missing = [form for form in forms if form not in given]
    if missing:
        logger.info("Exporting: %s", ", ".join(missing))
        command = [sys.executable, "-m", "benchmarks.export_models", "--folder", str(folder), "--forms"]
        subprocess.run([*command, *missing], check=True, env=worker_environment())
    return {form: given.get(form, folder / f"{form}.onnx") for form in forms}


def commands(args: argparse.Namespace, rows: list[Row], models: dict[str, Path]) -> dict[str, list[str]]:
    """Makes the command lines of the workers: one per precision of torchvision, and one per row.

    Args:
        args: Command line arguments.
        rows: Rows of the table.
        models: Exported files by form.

    Returns:
        Dict from the precision, or the name of the row, to a command line.
    """
    shared = ["--batch", str(args.batch), "--threads", str(args.threads)]
    peer = [str(args.peer_python), "-m", "benchmarks.peer_torchvision", *shared, "--precision"]
    found = {row.peer: [*peer, row.peer] for row in rows}
    for row in rows:
        own = [sys.executable, "-m", "benchmarks.exported", *shared, "--model", str(models[row.form])]
        own += ["--fast-head"] if row.fast_head else []
        found[row.name] = [*own, "--runtime", row.runtime, "--precision-hint", row.precision_hint]
    return found


def _measure(args: argparse.Namespace, starts: dict[str, list[str]], logs: Path) -> dict[str, Times]:
    """Measures all workers, one inference each per round, so that machine load affects all alike."""
    workers: dict[str, Worker] = {}
    times = {name: Times() for name in starts}
    try:
        for number, (name, command) in enumerate(starts.items()):
            logger.info("Starting %s", name)
            workers[name] = Worker.start(name, command, logs / f"{number}.log", worker_environment())
        for name, worker in workers.items():
            logger.info("Warming up %s", name)
            times[name].report = worker.ask("prepare infer")
        for turn in range(args.rounds):
            for name, worker in workers.items():
                time.sleep(SETTLE_SECONDS)
                answer = worker.ask("infer 1")
                times[name].wall.append(answer["wall"][0] / args.batch)
                times[name].cpu.append(answer["cpu"][0] / args.batch)
            seconds = ", ".join(f"{name}: {each.wall[-1]:.3f}" for name, each in times.items())
            logger.info("Round %d/%d, s/image: %s", turn + 1, args.rounds, seconds)
        for name, worker in workers.items():
            times[name].report |= worker.ask("report")
    finally:
        for worker in workers.values():
            worker.stop()
    return times


def _ratios(peer: list[float], own: list[float]) -> list[float]:
    """Divides torchvision's seconds by this project's, round by round."""
    return [theirs / ours for theirs, ours in zip(peer, own, strict=True)]


def print_table(rows: list[Row], times: dict[str, Times], console: Console) -> None:
    """Prints one line per row: median times, median and range of the speedup, memory and start-up.

    Args:
        rows: Rows of the table.
        times: Measurements by worker name.
        console: Output console.
    """
    table = Table(title=f"ResNet-18 C4, {SETTINGS.height}x{SETTINGS.width}, {SETTINGS.infer_post_nms} RoIs")
    table.add_column("exported model")
    for heading in ("s/image", "torchvision", "speedup", "range", "by CPU s", "target"):
        table.add_column(heading, justify="right")
    for heading in ("MiB", "start-up s", "start-up MiB"):
        table.add_column(heading, justify="right")
    for row in rows:
        own, peer = times[row.name], times[row.peer]
        found = _ratios(peer.wall, own.wall)
        ratio = statistics.median(found)
        reached = "" if row.target is None else f">= {row.target:g} {'yes' if ratio >= row.target else 'NO'}"
        table.add_row(
            row.name,
            f"{statistics.median(own.wall):.3f}",
            f"{statistics.median(peer.wall):.3f} {row.peer}",
            f"{ratio:.2f}",
            f"{min(found):.2f}-{max(found):.2f}",
            f"{statistics.median(_ratios(peer.cpu, own.cpu)):.2f}",
            reached,
            f"{own.report['peak_mib']:.0f}",
            f"{own.report['start_up']:.1f}",
            f"{own.report['start_up_mib']:.0f}",
        )
    console.print(table)


def _print_remarks(times: dict[str, Times], conditions: Conditions, console: Console) -> None:
    """Prints the facts needed to judge the table: versions, work done and load of the machine."""
    shown = ("versions", "layout", "rois", "detections", "best_score", "peak_mib")
    for name, each in times.items():
        facts = ", ".join(f"{key} {each.report[key]}" for key in shown if key in each.report)
        console.print(f"{name}: {facts}", highlight=False)
    console.print("\n".join(conditions.lines()), highlight=False)


def parser() -> argparse.ArgumentParser:
    """Returns the command line parser."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--rows", nargs="+", help="run only rows whose names contain one of these words")
    flags.add_argument("--int8", type=Path, help="exported int8 file (default: one is made)")
    flags.add_argument("--batch", type=int, default=1, help="batch size (default: 1)")
    flags.add_argument("--rounds", type=int, default=8, help="inferences per worker (default: 8)")
    add_measurement_flags(flags)
    return flags


def main() -> int:
    """Runs the benchmark.

    Returns:
        Exit code: 0 on success, 1 if a worker failed, 2 if no row matches or torchvision is not installed.
    """
    args = parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    rows = [row for row in ROWS if not args.rows or any(word in row.name for word in args.rows)]
    if not rows:
        logger.error("No row matches %s. Available rows: %s", args.rows, "; ".join(row.name for row in ROWS))
        return 2
    if not args.peer_python.exists():
        logger.error("No interpreter %s. Create it as described in benchmarks/README.md.", args.peer_python)
        return 2
    console = Console(width=None if sys.stdout.isatty() else 170)
    with tempfile.TemporaryDirectory(prefix="frcnn-bench-") as folder:
        models = _make_models(Path(folder), rows, args.int8)
        conditions = Conditions(args.threads)
        logs = Path(tempfile.mkdtemp(prefix="frcnn-bench-logs-"))
        try:
            times = _measure(args, commands(args, rows, models), logs)
        except WorkerError as error:
            logger.error("%s", error)
            return 1
        conditions.probe()
    print_table(rows, times, console)
    _print_remarks(times, conditions, console)
    if args.json:
        everything = {name: dataclasses.asdict(each) for name, each in times.items()}
        args.json.write_text(json.dumps(everything, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
