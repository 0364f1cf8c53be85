"""Runs the benchmarks, keeps what they measured in one JSON file, and writes the tables of the pages from it.

    make measurements                                  everything that this machine can run; about an hour
    make measurements ARGS='--only start_up export --short'
    make measurements ARGS='--data DATA'               also time_to_map, which needs a folder with bccd/
    python -m benchmarks.measurements --write-only     only writes the pages again

Each part replaces its own entry of measurements.json and leaves the others. A short run is marked as such,
and README.md shows none.
"""

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import measured_rows
from benchmarks.conditions import Conditions, machine_name
from benchmarks.measured_pages import Part, Row, write_pages
from benchmarks.peer_python import add_peer_python
from benchmarks.run_speed import ROOT, worker_environment

KEPT = ROOT / "benchmarks" / "measurements.json"
PACKAGES = ("tensorflow-cpu", "tensorflow", "keras", "onnxruntime", "openvino", "numpy")
PEER_PACKAGES = ("torch", "torchvision")

logger = logging.getLogger("benchmarks.measurements")


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A benchmark that `make measurements` runs.

    Attributes:
        words: Module and arguments after `python -m`.
        short: Further arguments of a short run.
        rows: Function from the benchmark's JSON to rows.
        peer: Whether torchvision's interpreter is needed.
        data: Whether a folder with data sets is needed.
    """

    words: tuple[str, ...]
    short: tuple[str, ...]
    rows: Callable[[Any], list[Row]]
    peer: bool = True
    data: bool = False


BENCHMARKS = {
    "speed": Benchmark(
        ("benchmarks.run_speed", "--precision", "float32", "bfloat16", "--batches", "1", "2"),
        ("--precision", "float32", "--batches", "1", "--pairs", "3"),
        measured_rows.speed,
    ),
    "export": Benchmark(("benchmarks.run_export",), ("--rounds", "3"), measured_rows.export),
    "start_up": Benchmark(("benchmarks.start_up",), ("--runs", "3"), measured_rows.start_up, peer=False),
    "store": Benchmark(("benchmarks.store",), ("--tiny",), measured_rows.store, peer=False),
    "time_to_map": Benchmark(
        ("benchmarks.time_to_map",),
        ("--seeds", "42", "--epochs", "3", "--map", "0.2"),
        measured_rows.time_to_map,
        data=True,
    ),
}


def runnable(names: list[str], peer_python: Path, data: Path | None) -> list[str]:
    """Returns the benchmarks that can run here, and logs why others cannot.

    Args:
        names: Keys of `BENCHMARKS`.
        peer_python: Interpreter with torchvision.
        data: Folder with data sets; `None` if not given.

    Returns:
        Keys, in order.
    """
    found = []
    for name in names:
        if BENCHMARKS[name].peer and not peer_python.exists():
            logger.warning("%s is skipped: no interpreter %s (benchmarks/README.md)", name, peer_python)
        elif BENCHMARKS[name].data and data is None:
            logger.warning("%s is skipped: it needs --data, a folder that contains bccd/", name)
        else:
            found.append(name)
    return found


def command_of(name: str, args: argparse.Namespace, folder: Path) -> list[str]:
    """Makes the arguments after `python -m` of a benchmark.

    Args:
        name: Key of `BENCHMARKS`.
        args: Command line arguments.
        folder: Folder for outputs.

    Returns:
        Module and arguments.
    """
    benchmark = BENCHMARKS[name]
    words = [*benchmark.words, *(benchmark.short if args.short else ())]
    words += ["--peer-python", str(args.peer_python)] if benchmark.peer else []
    words += ["--data", str(args.data), "-o", str(folder / name)] if benchmark.data else []
    return [*words, "--json", str(folder / f"{name}.json")]


def shown_command(name: str, *, short: bool) -> str:
    """Returns the command that repeats a measurement, without paths of this machine."""
    benchmark = BENCHMARKS[name]
    words = [*benchmark.words, *(benchmark.short if short else ())]
    return " ".join(["python -m", *words, *(("--data", "DATA", "-o", "OUT") if benchmark.data else ())])


def _measure(name: str, args: argparse.Namespace, folder: Path, revision: str) -> Part:
    """Runs one benchmark, a key of `BENCHMARKS`, of the commit `revision`."""
    conditions = Conditions(len(os.sched_getaffinity(0)))
    command = [sys.executable, "-m", *command_of(name, args, folder)]
    subprocess.run(command, check=True, env=worker_environment())
    share = conditions.share_of_others()
    return Part(
        command=shown_command(name, short=args.short),
        short=args.short,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        machine=f"{machine_name()}, {conditions.threads} cores",
        busy=None if share is None else round(share, 3),
        revision=revision,
        versions=_versions(args.peer_python if BENCHMARKS[name].peer else None),
        rows=BENCHMARKS[name].rows(json.loads((folder / f"{name}.json").read_text())),
    )


def _revision() -> str:
    """Returns the commit, with a mark if files differ from it; empty outside of git."""
    words = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return ended.stdout.strip() if ended.returncode == 0 else ""


def _versions(peer_python: Path | None) -> dict[str, str]:
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    if peer_python is not None:
        code = (
            "import importlib.metadata as m, json; "
            f"print(json.dumps({{each: m.version(each) for each in {PEER_PACKAGES}}}))"
        )
        ended = subprocess.run([str(peer_python), "-c", code], capture_output=True, text=True, check=True)
        found |= json.loads(ended.stdout)
    return found


def load(path: Path) -> dict[str, Part]:
    """Reads the kept measurements.

    Args:
        path: JSON file; it may be missing.

    Returns:
        Dict from name to measurements.
    """
    if not path.is_file():
        return {}
    parts = json.loads(path.read_text())
    return {
        name: Part(**{**part, "rows": [Row(**row) for row in part["rows"]]}) for name, part in parts.items()
    }


def save(parts: dict[str, Part], path: Path) -> None:
    """Writes the kept measurements, in the order of `BENCHMARKS`.

    Args:
        parts: Dict from name to measurements.
        path: JSON file.
    """
    ordered = {name: dataclasses.asdict(parts[name]) for name in BENCHMARKS if name in parts}
    path.write_text(json.dumps(ordered, indent=1) + "\n")


def parser() -> argparse.ArgumentParser:
    """Returns the command line parser."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument(
        "--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), help="benchmarks (default: all)"
    )
    flags.add_argument("--short", action="store_true", help="few repetitions, marked as a short run")
    flags.add_argument("--data", type=Path, help="folder that contains bccd/, for time_to_map")
    flags.add_argument("--write-only", action="store_true", help="run nothing; only write the pages")
    flags.add_argument("--json", type=Path, default=KEPT, help=f"file to keep (default: {KEPT.name})")
    flags.add_argument("--pages", type=Path, default=ROOT, help="checkout whose pages are written")
    add_peer_python(flags)
    return flags


def main() -> int:
    """Runs the benchmarks and writes the pages.

    Returns:
        Exit code: 0 on success, 1 if a benchmark failed; what others measured is kept.
    """
    args = parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    failed = []
    revision = _revision()  # before the files that are kept change
    with tempfile.TemporaryDirectory(prefix="frcnn-measurements-") as folder:
        for name in [] if args.write_only else runnable(args.only, args.peer_python, args.data):
            logger.info("Running %s", name)
            try:
                part = _measure(name, args, Path(folder), revision)
            except subprocess.CalledProcessError as error:
                logger.error("%s failed with exit code %d", name, error.returncode)
                failed.append(name)
                continue
            save({**load(args.json), name: part}, args.json)
    for path in write_pages(load(args.json), args.pages):
        logger.info("Wrote %s", path)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
