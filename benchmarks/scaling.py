"""What training together costs: two processes joined by Horovod beside two that know nothing of each other.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --processes 4 --steps 10 --rounds 1

Every process has one core and trains ResNet-18 with batch 1 on 384x1248 images from record files, as `frcnn
train` does. Both kinds take turns, so that they meet the same machine.
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

WANTED = 0.9
PHASES = ("data", "allreduce", "logging")
Times = list[dict[str, float]]


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    flags.add_argument("--steps", type=int, default=15, help="timed in each round")
    flags.add_argument("--rounds", type=int, default=2)
    args = flags.parse_args()
    conditions = Conditions(threads=1)
    together: Times = []
    apart: Times = []
    with tempfile.TemporaryDirectory() as folder:
        whole, share = Path(folder) / "whole", Path(folder) / "share"
        # One epoch each, so that nothing but steps is timed.
        write_records(whole, count=args.processes * (args.steps + WARM_UP_STEPS))
        write_records(share, count=args.steps + WARM_UP_STEPS)
        for number in range(args.rounds):
            command: list[str | Path] = [sys.executable, "-m", "benchmarks.scaling_rank"]
            together += joined([*command, whole], Path(folder) / f"together_{number}", args)
            apart += alone([*command, share], Path(folder) / f"apart_{number}", args)
    report(args.processes, together, apart, conditions)


def joined(command: list[str | Path], folder: Path, args: argparse.Namespace) -> Times:
    """Times of processes that average their gradients."""
    launch([*command, folder, str(args.steps)], args.processes, environment())
    return [json.loads(path.read_text()) for path in sorted(folder.glob("times_*.json"))]


def alone(command: list[str | Path], folder: Path, args: argparse.Namespace) -> Times:
    """Times of processes that run side by side, each by itself."""
    folders = [folder / str(number) for number in range(args.processes)]
    running = [
        subprocess.Popen([*command, each, str(args.steps)], env=environment(), stderr=subprocess.DEVNULL)
        for each in folders
    ]
    codes = [process.wait() for process in running]
    if any(codes):
        raise SystemExit(f"a process failed; see: {' '.join(map(str, [*command, folder, args.steps]))}")
    return [json.loads((each / "times_0.json").read_text()) for each in folders]


def environment() -> dict[str, str]:
    """One core for each process."""
    return {**worker_environment(), "TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}


def report(processes: int, together: Times, apart: Times, conditions: Conditions) -> None:
    """Prints both tables."""
    rates = {
        name: statistics.mean(processes / each["step"] for each in times)
        for name, times in (("together", together), ("apart", apart))
    }
    speed = Table("", "images/s", "s/step", title=f"{processes} processes, a core each")
    for name, rate in rates.items():
        speed.add_row(name, f"{rate:.3f}", f"{processes / rate:.3f}")
    phases = Table("of a step", "ms", "share", title="outside of compute, together")
    step = statistics.mean(each["step"] for each in together)
    for name in PHASES:
        seconds = statistics.mean(each[name] for each in together)
        phases.add_row(name, f"{seconds * 1000:.1f}", f"{seconds / step:.1%}")
    console = Console()
    console.print(speed)
    ratio = rates["together"] / rates["apart"]
    console.print(f"together at {ratio:.2f} of apart; wanted at least {WANTED}", highlight=False)
    console.print(phases)
    console.print("data: CPU time, beside the step; allreduce: all ranks at once", highlight=False)
    for line in conditions.lines():
        console.print(line, highlight=False)


if __name__ == "__main__":
    main()
