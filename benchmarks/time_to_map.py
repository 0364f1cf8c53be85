"""Compares how many minutes this project's and torchvision's detectors train until they reach an mAP on BCCD.

    python -m benchmarks.time_to_map --data DATA -o OUT [--map 0.75] [--seeds 42 43 44] [--epochs 20]

Both sides train ResNet-18 from random weights on the same images, input size, batch, optimizer and learning
rate, one after the other and seed by seed (see benchmarks/accuracy.py, whose results in OUT are used again).
An epoch's minutes include all training before it and no validation. The resolution is one epoch.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.accuracy import judged, make_job, train
from benchmarks.accuracy_job import Answer
from benchmarks.accuracy_results import Result, Run
from benchmarks.conditions import Conditions
from benchmarks.peer_python import add_peer_python

SIDES = ("ours", "peer")


def main() -> int:
    """Runs the benchmark and prints the table.

    Returns:
        Exit code: 0 on success, 1 if a training failed, 2 if torchvision is not installed.
    """
    args = parser().parse_args()
    if not args.peer_python.exists():
        sys.stderr.write(
            f"error: no interpreter {args.peer_python}. Create it as described in benchmarks/README.md.\n"
        )
        return 2
    conditions = Conditions(len(os.sched_getaffinity(0)))
    folder = args.output / "bccd"
    folder.mkdir(parents=True, exist_ok=True)
    job = make_job("bccd", args.data / "bccd", Path(), args.epochs)
    job.save(folder / "job.json")
    results = []
    for run in [Run(side, seed) for seed in args.seeds for side in SIDES]:
        if not run.path(folder).is_file() and not train(run, folder, args.peer_python):
            return 1
        results.append(judged(job, run, Answer.load(run.path(folder))))
    print(table(results, args.map))
    print("\n".join(conditions.lines()))
    if args.json:
        args.json.write_text(json.dumps(_summary(results, args.map), indent=1) + "\n")
    return 0


def minutes_to(result: Result, wanted: float) -> float | None:
    """Finds the training time until a validation first reached an mAP.

    Args:
        result: Metrics of one training.
        wanted: mAP@0.5 to reach.

    Returns:
        Minutes; `None` if no epoch reached it.
    """
    pairs = zip(result.minutes, result.val, strict=True)
    return next((minutes for minutes, (reached, _) in pairs if reached >= wanted), None)


def _summary(results: list[Result], wanted: float) -> dict[str, Any]:
    """Collects the minutes of all trainings by seed and side, `None` if mAP `wanted` was not reached."""
    seeds: dict[str, dict[str, float | None]] = {}
    for result in results:
        seeds.setdefault(str(result.run.seed), {})[result.run.side] = minutes_to(result, wanted)
    return {"map": wanted, "seeds": seeds}


def table(results: list[Result], wanted: float) -> str:
    """Makes a Markdown table with one row per seed and a row of medians.

    Args:
        results: Metrics of all trainings, both sides of each seed.
        wanted: mAP@0.5 to reach.

    Returns:
        The table. The speedup of a seed whose mAP one side did not reach is left empty.
    """
    reached = {(result.run.seed, result.run.side): minutes_to(result, wanted) for result in results}
    lines = [f"| seed | ours: minutes to {wanted:g} | torchvision | speedup |", "| --- | --- | --- | --- |"]
    ratios = []
    for seed in dict.fromkeys(seed for seed, _ in reached):
        ours, peer = (reached[seed, side] for side in SIDES)
        if ours and peer:
            ratios.append(peer / ours)
        lines.append(
            f"| {seed} | {_cell(ours)} | {_cell(peer)} | {f'{peer / ours:.1f}' if ours and peer else ''} |"
        )
    if ratios:
        spread = f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
        medians = [_median([reached[key] for key in reached if key[1] == side]) for side in SIDES]
        lines.append(f"| median | {' | '.join(medians)} | {spread} |")
    return "\n".join(lines)


def _cell(minutes: float | None) -> str:
    return "not reached" if minutes is None else f"{minutes:.1f}"


def _median(values: list[float | None]) -> str:
    """Formats the median, counting seeds that did not reach the mAP as infinite."""
    middle = statistics.median(float("inf") if value is None else value for value in values)
    return "not reached" if middle == float("inf") else f"{middle:.1f}"


def parser() -> argparse.ArgumentParser:
    """Returns the command line parser."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data", type=Path, required=True, help="folder that contains bccd/")
    flags.add_argument("-o", "--output", type=Path, required=True, help="output folder")
    flags.add_argument("--map", type=float, default=0.75, help="mAP@0.5 to reach (default: 0.75)")
    flags.add_argument(
        "--seeds", nargs="+", type=int, default=[42, 43, 44], help="random seeds (default: 42 43 44)"
    )
    flags.add_argument("--epochs", type=int, default=20, help="epochs to train (default: 20)")
    add_peer_python(flags)
    flags.add_argument("--json", type=Path, help="JSON file for the minutes of each training")
    return flags


if __name__ == "__main__":
    sys.exit(main())
