"""Measures the cost of distributed training: processes joined by Horovod versus independent ones.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --processes 4 --steps 10 --rounds 1

Every process has one core and trains ResNet-18 with batch size 1 on 384x1248 images from record files, as
`frcnn train` does. Both variants run alternately, so that machine load affects both alike.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.conditions import Conditions
from benchmarks.input_pipeline import write_records
from benchmarks.run_speed import worker_environment
from benchmarks.scaling_rank import WARM_UP_STEPS
from frcnn.distributed.launcher import launch

MIN_EFFICIENCY = 0.9
PHASES = ("data", "allreduce", "logging")
Times = list[dict[str, float]]


def main() -> None:
    """Runs the benchmark and prints the tables."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument(
        "--processes",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="number of processes (default: one per core)",
    )
    flags.add_argument("--steps", type=int, default=15, help="measured steps per round (default: 15)")
    flags.add_argument("--rounds", type=int, default=2, help="rounds per variant (default: 2)")
    args = flags.parse_args()
    conditions = Conditions(threads=1)
    together: Times = []
    apart: Times = []
    with tempfile.TemporaryDirectory() as folder:
        whole, share = Path(folder) / "whole", Path(folder) / "share"
        # One epoch each, so that only steps are measured.
        write_records(whole, count=args.processes * (args.steps + WARM_UP_STEPS))
        write_records(share, count=args.steps + WARM_UP_STEPS)
        for number in range(args.rounds):
            command: list[str | Path] = [sys.executable, "-m", "benchmarks.scaling_rank"]
            together += _joined([*command, whole], Path(folder) / f"together_{number}", args)
            apart += _alone([*command, share], Path(folder) / f"apart_{number}", args)
    _report(args.processes, together, apart, conditions)


def _joined(command: list[str | Path], folder: Path, args: argparse.Namespace) -> Times:
    """Trains in processes that average their gradients."""
    launch([*command, folder, str(args.steps)], args.processes, environment())
    return [json.loads(path.read_text()) for path in sorted(folder.glob("times_*.json"))]


def _alone(command: list[str | Path], folder: Path, args: argparse.Namespace) -> Times:
    """Trains in independent concurrent processes; exits if one fails."""
    folders = [folder / str(number) for number in range(args.processes)]
    running = [
        subprocess.Popen([*command, each, str(args.steps)], env=environment(), stderr=subprocess.DEVNULL)
        for each in folders
    ]
    codes = [process.wait() for process in running]
    if any(codes):
        rerun = " ".join(map(str, [*command, folder, args.steps]))
        raise SystemExit(f"A process failed. To see the error, run: {rerun}")
    return [json.loads((each / "times_0.json").read_text()) for each in folders]


def environment() -> dict[str, str]:
    """Returns the environment of a process that uses one core."""
    return {**worker_environment(), "TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _report(processes: int, together: Times, apart: Times, conditions: Conditions) -> None:
    """Prints the speed of both variants, and the time outside of compute."""
    rates = {
        name: statistics.mean(processes / each["step"] for each in times)
        for name, times in (("together", together), ("independent", apart))
    }
    speed = Table("", "images/s", "s/step", title=f"{processes} processes, one core each")
    for name, rate in rates.items():
        speed.add_row(name, f"{rate:.3f}", f"{processes / rate:.3f}")
    phases = Table("part of a step", "ms", "share", title="outside of compute, together")
    step = statistics.mean(each["step"] for each in together)
    for name in PHASES:
        seconds = statistics.mean(each[name] for each in together)
        phases.add_row(name, f"{seconds * 1000:.1f}", f"{seconds / step:.1%}")
    console = Console()
    console.print(speed)
    ratio = rates["together"] / rates["independent"]
    console.print(f"together / independent: {ratio:.2f}; target: at least {MIN_EFFICIENCY}", highlight=False)
    console.print(phases)
    console.print(
        "data: CPU time, concurrent with the step; allreduce: all ranks start at once", highlight=False
    )
    console.print("\n".join(conditions.lines()), highlight=False)


if __name__ == "__main__":
    main()
