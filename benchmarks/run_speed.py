"""Compares the speed of this project's detector with torchvision's FasterRCNN and prints a table.

python -m benchmarks.run_speed --precision float32 --batches 1 2

Both sides run alternately, step by step. README.md explains the comparison and the table.
"""

import argparse
import dataclasses
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.conditions import Conditions
from benchmarks.peer_python import add_measurement_flags
from benchmarks.settings import SETTINGS
from benchmarks.workers import PHASES, Worker, WorkerError

ROOT = Path(__file__).resolve().parent.parent
# Target speedups over torchvision.
TARGETS = {("float32", "infer"): 1.4, ("float32", "train"): 1.9, ("bfloat16", "train"): 2.2}
# Thread pools spin for a while after their work. Wait until they sleep before the other side runs.
SETTLE_SECONDS = 0.3

logger = logging.getLogger("benchmarks.run_speed")


@dataclasses.dataclass(frozen=True)
class Row:
    """Measurements of one precision, batch size and phase, in chronological order.

    Attributes:
        precision: `float32` or `bfloat16`.
        batch: Batch size.
        phase: `train` or `infer`.
        ours: Seconds per image of this project.
        peer: Seconds per image of torchvision.
        ours_cpu: CPU seconds per image of this project.
        peer_cpu: CPU seconds per image of torchvision.
        ours_report: Report of this project's worker.
        peer_report: Report of torchvision's worker.
    """

    precision: str
    batch: int
    phase: str
    ours: list[float]
    peer: list[float]
    ours_cpu: list[float]
    peer_cpu: list[float]
    ours_report: dict[str, Any]
    peer_report: dict[str, Any]

    @property
    def ratios(self) -> list[float]:
        """Speedup of each pair of steps. The two are adjacent in time, so machine load affects both alike."""
        return [peer / ours for ours, peer in zip(self.ours, self.peer, strict=True)]

    @property
    def cpu_ratio(self) -> float:
        """Median speedup in CPU seconds, which other programs affect less than wall time."""
        pairs = zip(self.ours_cpu, self.peer_cpu, strict=True)
        return statistics.median(peer / ours for ours, peer in pairs)


def _measure(args: argparse.Namespace, precision: str, batch: int, logs: Path) -> list[Row]:
    """Measures both workers in turns, for one precision and batch size; returns one row per phase."""
    options = ["--precision", precision, "--batch", str(batch), "--threads", str(args.threads)]
    environment = worker_environment()
    commands = {
        "ours": [sys.executable, "-m", "benchmarks.ours", *options],
        "peer": [str(args.peer_python), "-m", "benchmarks.peer_torchvision", *options],
    }
    workers: dict[str, Worker] = {}
    try:
        for name, command in commands.items():
            log = logs / f"{name}-{precision}-{batch}.log"
            workers[name] = Worker.start(name, command, log, environment)
        # Training comes last, because its memory would hide how much inference needs.
        phases = [phase for phase in PHASES if phase in args.phases]
        return [_measure_phase(workers, args.pairs, precision, batch, phase) for phase in phases]
    finally:
        for worker in workers.values():
            worker.stop()


def _measure_phase(workers: dict[str, Worker], pairs: int, precision: str, batch: int, phase: str) -> Row:
    """Measures one phase, one step of each worker at a time."""
    notes = {}
    for name, worker in workers.items():
        logger.info("%s, batch size %d: warming up %s for %s", precision, batch, name, phase)
        notes[name] = worker.ask(f"prepare {phase}")
    wall: dict[str, list[float]] = {name: [] for name in workers}
    cpu: dict[str, list[float]] = {name: [] for name in workers}
    for turn in range(pairs):
        for name, worker in workers.items():
            time.sleep(SETTLE_SECONDS)
            answer = worker.ask(f"{phase} 1")
            wall[name].append(answer["wall"][0] / batch)
            cpu[name].append(answer["cpu"][0] / batch)
        seconds = ", ".join(f"{name} {wall[name][-1]:.3f}" for name in workers)
        logger.info(
            "%s, batch size %d, %s %d/%d: %s s/image", precision, batch, phase, turn + 1, pairs, seconds
        )
    reports = {name: {**notes[name], **worker.ask("report")} for name, worker in workers.items()}
    return Row(
        precision,
        batch,
        phase,
        wall["ours"],
        wall["peer"],
        cpu["ours"],
        cpu["peer"],
        reports["ours"],
        reports["peer"],
    )


def worker_environment() -> dict[str, str]:
    """Returns a worker's environment, with the library and the benchmarks on Python's path."""
    environment = dict(os.environ)
    # The library may not be installed, for instance before `make setup`.
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "shared" / "src")])
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return environment


def _print_table(rows: list[Row], console: Console) -> None:
    """Prints one line per row: median seconds per image, median and range of the speedup, and memory."""
    table = Table(
        title="ResNet-18 C4 Faster R-CNN, " + f"{SETTINGS.height}x{SETTINGS.width}, seconds per image"
    )
    table.add_column("precision")
    table.add_column("batch", justify="right")
    table.add_column("phase")
    for heading in ("ours s", "torchvision s", "speedup", "range", "by CPU s", "target"):
        table.add_column(heading, justify="right")
    for heading in ("ours MiB", "torchvision MiB"):
        table.add_column(heading, justify="right")
    for row in rows:
        target = TARGETS.get((row.precision, row.phase))
        ratio = statistics.median(row.ratios)
        reached = "" if target is None else f">= {target} {'yes' if ratio >= target else 'NO'}"
        table.add_row(
            row.precision,
            str(row.batch),
            row.phase,
            f"{statistics.median(row.ours):.3f}",
            f"{statistics.median(row.peer):.3f}",
            f"{ratio:.2f}",
            f"{min(row.ratios):.2f}-{max(row.ratios):.2f}",
            f"{row.cpu_ratio:.2f}",
            reached,
            f"{row.ours_report['peak_mib']:.0f}",
            f"{row.peer_report['peak_mib']:.0f}",
        )
    console.print(table)


def _print_remarks(rows: list[Row], conditions: Conditions, console: Console) -> None:
    """Prints the facts needed to judge the table: versions, work done and load of the machine."""
    console.print(f"ours: {rows[0].ours_report.get('versions', '?')}", highlight=False)
    console.print(f"torchvision: {rows[0].peer_report.get('versions', '?')}", highlight=False)
    for row in rows:
        facts = [
            f"{side}: " + ", ".join(f"{key} {report[key]}" for key in shown if key in report)
            for side, report, shown in (
                ("ours", row.ours_report, ("rois", "detections", "loss", "traces")),
                ("torchvision", row.peer_report, ("layout", "rois", "detections", "loss")),
            )
        ]
        title = f"{row.precision}, batch size {row.batch}, {row.phase}"
        console.print(f"{title}: {'; '.join(facts)}", highlight=False)
    console.print("\n".join(conditions.lines()), highlight=False)


def parser() -> argparse.ArgumentParser:
    """Returns the command line parser."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument(
        "--precision",
        nargs="+",
        choices=("float32", "bfloat16"),
        default=["float32"],
        help="bfloat16: mixed precision on both sides (default: float32)",
    )
    flags.add_argument("--batches", nargs="+", type=int, default=[1, 2], help="batch sizes (default: 1 2)")
    flags.add_argument(
        "--phases", nargs="+", choices=PHASES, default=list(PHASES), help="phases to measure (default: both)"
    )
    flags.add_argument("--pairs", type=int, default=8, help="steps per side (default: 8)")
    add_measurement_flags(flags)
    return flags


def main() -> int:
    """Runs the benchmark.

    Returns:
        Exit code: 0 on success, 1 if a worker failed, 2 if torchvision is not installed.
    """
    args = parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    console = Console(width=None if sys.stdout.isatty() else 150)
    if not args.peer_python.exists():
        logger.error(
            "No interpreter %s. Create it with: python3.11 -m venv .venv-peer && "
            ".venv-peer/bin/pip install -r benchmarks/requirements-peer.txt",
            args.peer_python,
        )
        return 2
    conditions = Conditions(args.threads)
    logs = Path(tempfile.mkdtemp(prefix="frcnn-bench-"))
    rows: list[Row] = []
    try:
        for precision in args.precision:
            for batch in args.batches:
                rows += _measure(args, precision, batch, logs)
                conditions.probe()
    except WorkerError as error:
        logger.error("%s", error)
        return 1
    finally:
        if rows:
            _print_table(rows, console)
            _print_remarks(rows, conditions, console)
    if args.json:
        args.json.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
