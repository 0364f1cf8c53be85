"""After how many epochs trainings reached a mAP, by their training_log.csv; prints a table for the docs.

    python -m benchmarks.epochs_to_map scratch=runs/scratch pretrained=runs/pretrained

Each argument is a name and a results folder. How exact an answer is depends on
`validation_period_during_training`: epochs without validation have no mAP.
"""

import argparse
import csv
import sys
from pathlib import Path

from frcnn.train.training_log import FILE_NAME

Row = dict[str, float]


def main() -> int:
    """Prints the table; 1 if a folder has no log."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("runs", nargs="+", metavar="NAME=FOLDER")
    flags.add_argument("--map", type=float, default=0.75, help="the mAP to reach (default: 0.75)")
    args = flags.parse_args()
    lines = [
        f"| run | epochs to {args.map:g} mAP | minutes to it | best mAP | after epoch | last mAP |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for run in args.runs:
        name, _, folder = run.rpartition("=")
        path = Path(folder) / FILE_NAME
        if not path.is_file():
            sys.stderr.write(f"error: {path}: no such file\n")
            return 1
        lines.append(f"| {name or folder} | {' | '.join(cells(read(path), args.map))} |")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def read(path: Path) -> list[Row]:
    """The epochs in a training_log.csv; what is empty there is left out."""
    with path.open(newline="", encoding="utf-8") as handle:
        return [{name: float(text) for name, text in row.items() if text} for row in csv.DictReader(handle)]


def cells(rows: list[Row], wanted: float) -> list[str]:
    """Epoch and minutes at which `wanted` was reached, the best mAP and its epoch, the last mAP."""
    validated = [row for row in rows if "mAP" in row]
    if not validated:
        return ["no validation", "", "", "", ""]
    reached = next((row for row in validated if row["mAP"] >= wanted), None)
    best = max(validated, key=lambda row: row["mAP"])
    first = ["not reached", ""]
    if reached is not None:
        seconds = sum(row["seconds"] for row in rows if row["epoch"] <= reached["epoch"])
        first = [f"{reached['epoch']:.0f}", f"{seconds / 60:.1f}"]
    return [*first, f"{best['mAP']:.3f}", f"{best['epoch']:.0f}", f"{validated[-1]['mAP']:.3f}"]


if __name__ == "__main__":
    sys.exit(main())
