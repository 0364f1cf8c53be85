"""Reports after how many epochs trainings reached a given mAP; prints a Markdown table.

    python -m benchmarks.epochs_to_map scratch=runs/scratch pretrained=runs/pretrained --picture curves.svg

Each argument is a name and a results folder with a training_log.csv. Epochs without validation have no mAP,
so `validation_period_during_training` limits the resolution.
"""

import argparse
import csv
import sys
from pathlib import Path

from frcnn.training.callbacks.training_log import FILE_NAME

Row = dict[str, float]


def main() -> int:
    """Prints the table.

    Returns:
        Exit code: 0 on success, 1 if a folder has no log.
    """
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("runs", nargs="+", metavar="NAME=FOLDER", help="name and results folder of a training")
    flags.add_argument("--map", type=float, default=0.75, help="mAP to reach (default: 0.75)")
    flags.add_argument("--picture", type=Path, help="file for a plot of mAP over epochs (.svg, .png)")
    args = flags.parse_args()
    curves: dict[str, list[Row]] = {}
    lines = [
        f"| run | epochs to {args.map:g} mAP | minutes | best mAP | after epoch | last mAP |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for run in args.runs:
        name, _, folder = run.rpartition("=")
        path = Path(folder) / FILE_NAME
        if not path.is_file():
            sys.stderr.write(f"error: {path}: no such file\n")
            return 1
        rows = curves[name or folder] = read(path)
        lines.append(f"| {name or folder} | {' | '.join(cells(rows, args.map))} |")
    sys.stdout.write("\n".join(lines) + "\n")
    if args.picture:
        _draw(curves, args.map, args.picture)
    return 0


def read(path: Path) -> list[Row]:
    """Reads a training_log.csv.

    Args:
        path: CSV file.

    Returns:
        One dict per epoch from column name to value, without empty cells.
    """
    with path.open(newline="", encoding="utf-8") as handle:
        return [{name: float(text) for name, text in row.items() if text} for row in csv.DictReader(handle)]


def cells(rows: list[Row], wanted: float) -> list[str]:
    """Makes the table cells of one training.

    Args:
        rows: Epochs of the training log.
        wanted: mAP to reach.

    Returns:
        Cells: epochs and minutes to reach `wanted`, best mAP, its epoch, and last mAP.
    """
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


def _draw(curves: dict[str, list[Row]], wanted: float, path: Path) -> None:
    """Plots mAP over epochs: a line per training, points at validated epochs, `wanted` as a dotted line."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, rows in curves.items():
        points = [(row["epoch"], row["mAP"]) for row in rows if "mAP" in row]
        axes.plot(*zip(*points, strict=True), marker=".", label=name)
    axes.axhline(wanted, color="gray", linestyle=":", linewidth=1)
    axes.set(xlabel="epoch", ylabel="mAP@0.5, validation split", ylim=(0, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    # A fixed salt and no date make the file reproducible.
    with matplotlib.rc_context({"svg.hashsalt": path.name}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    sys.exit(main())
