"""Measures the cost of exact resume: the train step with and without deterministic kernels.

python -m benchmarks.exactness                     float32, batch size 1, 384x1248
python -m benchmarks.exactness --precision bfloat16 --pairs 20

Both variants run alternately.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.conditions import Conditions
from benchmarks.run_speed import SETTLE_SECONDS, worker_environment
from benchmarks.workers import Worker

MAX_COST = 0.05
SIDES = {"exact": [], "inexact": ["--inexact"]}


def main() -> None:
    """Runs the benchmark and prints the table."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="bfloat16: mixed precision (default: float32)",
    )
    flags.add_argument("--batch", type=int, default=1, help="batch size (default: 1)")
    flags.add_argument("--pairs", type=int, default=12, help="steps per variant (default: 12)")
    flags.add_argument(
        "--threads",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="threads per variant (default: all cores)",
    )
    args = flags.parse_args()
    conditions = Conditions(args.threads)
    wall, cpu = _measure(args)
    table = Table("", "s/step", "CPU s/step", title=f"train step, {args.precision}, batch {args.batch}")
    for side in SIDES:
        table.add_row(side, f"{statistics.median(wall[side]):.3f}", f"{statistics.median(cpu[side]):.3f}")
    console = Console()
    console.print(table)
    for name, seconds in (("time", wall), ("CPU time", cpu)):
        cost = statistics.median(e / i for e, i in zip(seconds["exact"], seconds["inexact"], strict=True)) - 1
        console.print(
            f"cost of exactness: {cost:+.1%} of {name}; target: at most {MAX_COST:.0%}", highlight=False
        )
    console.print("\n".join(conditions.lines()), highlight=False)


def _measure(args: argparse.Namespace) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Measures both variants in turns; returns seconds and CPU seconds of each step, by variant."""
    options = ["--precision", args.precision, "--batch", str(args.batch), "--threads", str(args.threads)]
    wall: dict[str, list[float]] = {side: [] for side in SIDES}
    cpu: dict[str, list[float]] = {side: [] for side in SIDES}
    workers: dict[str, Worker] = {}
    with tempfile.TemporaryDirectory() as logs:
        try:
            for side, extra in SIDES.items():
                command = [sys.executable, "-m", "benchmarks.ours", *options, *extra]
                workers[side] = Worker.start(side, command, Path(logs) / f"{side}.log", worker_environment())
                workers[side].ask("prepare train")
            for _ in range(args.pairs):
                for side, worker in workers.items():
                    time.sleep(SETTLE_SECONDS)
                    answer = worker.ask("train 1")
                    wall[side] += answer["wall"]
                    cpu[side] += answer["cpu"]
        finally:
            for worker in workers.values():
                worker.stop()
    return wall, cpu


if __name__ == "__main__":
    main()
