"""Measures how long an exported model takes from the start of Python to its first detections.

    python -m benchmarks.start_up [--model model.onnx] [--runs 7] [--json times.json]

Each run is a new process that imports the library, opens the file and detects objects in one JPEG file. The
table shows medians: CPU seconds of each stage, then CPU seconds, wall time and peak memory of the process.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.conditions import Conditions
from benchmarks.run_speed import worker_environment
from benchmarks.settings import SETTINGS, random_scene

STAGES = ("Python", "import", "open", "first run")
# Arguments of `frcnn.load` by name of the row.
ROWS = {
    "onnxruntime": {"runtime": "onnxruntime"},
    "onnxruntime, as_is": {"runtime": "onnxruntime", "as_is": True},
    "openvino": {"runtime": "openvino"},
}
# The program of a user, which notes its CPU seconds after each stage.
PROGRAM = """
import json, resource, sys
def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
marks = [used()]
import frcnn
frcnn.load
marks.append(used())
detector = frcnn.load(sys.argv[1], **json.loads(sys.argv[3]))
marks.append(used())
detector.predict(sys.argv[2])
marks.append(used())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"marks": marks, "peak": peak, "tensorflow": "tensorflow" in sys.modules}))
"""


@dataclasses.dataclass(frozen=True)
class Start:
    """One process.

    Attributes:
        stages: CPU seconds of each of `STAGES`.
        wall: Seconds from the start of the process to its end.
        peak_mib: Peak of resident memory, MiB.
    """

    stages: tuple[float, ...]
    wall: float
    peak_mib: float


def measure(model: Path, image: Path, row: str) -> Start:
    """Runs the program once in a new process.

    Args:
        model: Exported model.
        image: JPEG file.
        row: Key of `ROWS`.

    Returns:
        The measurements.

    Raises:
        RuntimeError: The program failed, or imported TensorFlow.
    """
    command = [sys.executable, "-c", PROGRAM, str(model), str(image), json.dumps(ROWS[row])]
    began = time.perf_counter()
    ended = subprocess.run(command, capture_output=True, text=True, env=worker_environment(), check=False)
    wall = time.perf_counter() - began
    if ended.returncode:
        raise RuntimeError(f"{row}: {ended.stderr.strip()[-1000:]}")
    found = json.loads(ended.stdout.splitlines()[-1])
    if found["tensorflow"]:
        raise RuntimeError(f"{row}: TensorFlow was imported")
    return Start(_differences(found["marks"]), wall, found["peak"])


def _differences(marks: Sequence[float]) -> tuple[float, ...]:
    return tuple(after - before for before, after in zip([0.0, *marks], marks, strict=False))


def medians(starts: Sequence[Start]) -> list[float]:
    """Summarizes the runs of a row.

    Args:
        starts: Measurements, at least one.

    Returns:
        Medians: CPU seconds of each stage and of the process, wall seconds, and peak memory, MiB.
    """
    stages = [statistics.median(values) for values in zip(*(each.stages for each in starts), strict=True)]
    total = statistics.median(sum(each.stages) for each in starts)
    wall, peak = ([getattr(each, name) for each in starts] for name in ("wall", "peak_mib"))
    return [*stages, total, statistics.median(wall), statistics.median(peak)]


def make_table(times: dict[str, list[Start]]) -> Table:
    """Makes the table.

    Args:
        times: Measurements by row.

    Returns:
        The table, with one line per row.
    """
    table = Table(title=f"cold start, ResNet-18 C4, {SETTINGS.height}x{SETTINGS.width}: medians")
    table.add_column("runtime")
    for heading in (*(f"{stage} CPU s" for stage in STAGES), "CPU s", "wall s", "MiB"):
        table.add_column(heading, justify="right")
    for row, starts in times.items():
        *seconds, peak = medians(starts)
        table.add_row(row, *(f"{each:.2f}" for each in seconds), f"{peak:.0f}")
    return table


def _files(model: Path | None, folder: Path) -> tuple[Path, Path]:
    """Returns the model, exported if none is given, and a JPEG file."""
    image = folder / "scene.jpg"
    pixels = random_scene(1).images[0]
    scaled = 255 * (pixels - pixels.min()) / np.ptp(pixels)
    Image.fromarray(scaled.astype(np.uint8)).save(image, quality=90)
    if model is None:
        command = [sys.executable, "-m", "benchmarks.export_models", "--folder", str(folder)]
        subprocess.run([*command, "--forms", "fp32"], check=True, env=worker_environment())
    return model or folder / "fp32.onnx", image


def _turns(rows: Sequence[str], runs: int) -> Iterator[str]:
    """Yields the rows in turns, so that the load of the machine affects all alike."""
    for _ in range(runs):
        yield from rows


def parser() -> argparse.ArgumentParser:
    """Returns the command line parser."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--model", type=Path, help="exported model (default: one is made)")
    flags.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="rows (default: all)")
    flags.add_argument("--runs", type=int, default=7, help="processes per row (default: 7)")
    flags.add_argument("--json", type=Path, help="JSON file for all single measurements")
    return flags


def main() -> int:
    """Runs the benchmark.

    Returns:
        Exit code: 0 on success, 1 if a program failed.
    """
    args = parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else 130)
    times: dict[str, list[Start]] = {row: [] for row in args.rows}
    with tempfile.TemporaryDirectory(prefix="frcnn-start-") as folder:
        model, image = _files(args.model, Path(folder))
        conditions = Conditions(len(os.sched_getaffinity(0)))
        try:
            for row in args.rows:
                measure(model, image, row)  # fills the file cache
            for row in _turns(args.rows, args.runs):
                times[row].append(measure(model, image, row))
        except RuntimeError as error:
            sys.stderr.write(f"error: {error}\n")
            return 1
        conditions.probe()
    console.print(make_table(times))
    console.print("\n".join(conditions.lines()), highlight=False)
    if args.json:
        everything = {row: [dataclasses.asdict(each) for each in starts] for row, starts in times.items()}
        args.json.write_text(json.dumps(everything, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
