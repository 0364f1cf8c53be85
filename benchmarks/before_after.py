"""Compares the CPU time of two versions of this project on the same machine, in turns.

    python -m benchmarks.before_after --old 4cac261
    python -m benchmarks.before_after --old v0.1.0 --only convert store --rounds 5

The old version is unpacked into a temporary folder. Each benchmark runs in both versions alternately,
with one thread, and its CPU seconds in user mode are compared, children included, which other programs affect
little. For `run_speed`, one worker of each version stays in memory and both take steps in turns.
"""

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.conditions import Conditions
from benchmarks.run_speed import ROOT
from benchmarks.workers import PHASES, Worker

logger = logging.getLogger("benchmarks.before_after")

ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
# Arguments that both versions understand.
COMMANDS = {
    "store": ["-m", "benchmarks.store", "--tiny"],
    "convert": ["-m", "benchmarks.convert", "--workers", "1"],
    "checkpoint": ["-m", "benchmarks.checkpoint", "--arch", "resnet:18", "--height", "128", "--width", "160"],
}
NAMES = ("run_speed", *COMMANDS)
STEPS = 4
# Ratios within this distance of 1 count as unchanged.
NOISE = 0.05


@dataclasses.dataclass(frozen=True)
class Pair:
    """CPU seconds of both versions, in the order in which they were measured.

    Attributes:
        name: Name of the benchmark.
        old: Seconds of the old version.
        new: Seconds of this version.
    """

    name: str
    old: list[float]
    new: list[float]

    @property
    def ratio(self) -> float:
        """Median of new / old over the pairs."""
        return statistics.median(new / old for old, new in zip(self.old, self.new, strict=True))


def command_pair(name: str, trees: Sequence[Path], rounds: int) -> Pair:
    """Runs one command in both versions, in turns.

    Args:
        name: Key of `COMMANDS`.
        trees: Checkouts of the old and of the new version.
        rounds: Number of runs of each.

    Returns:
        CPU seconds of both.
    """
    seconds: list[list[float]] = [[], []]
    for turn in range(rounds):
        for place, tree in enumerate(trees):
            seconds[place].append(user_seconds([sys.executable, *COMMANDS[name]], tree))
        logger.info(
            "%s %d/%d: old %.2f s, new %.2f s", name, turn + 1, rounds, seconds[0][-1], seconds[1][-1]
        )
    return Pair(name, *seconds)


def user_seconds(command: Sequence[str], tree: Path) -> float:
    """Runs a command in a checkout and returns its CPU seconds in user mode, with those of its children.

    Args:
        command: Program and arguments.
        tree: Checkout, which becomes the working folder.

    Returns:
        Seconds.

    Raises:
        subprocess.CalledProcessError: The command failed; its output is logged.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=tree, env=_environment(tree), stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            logger.error("%s", output.read()[-2000:].decode(errors="replace"))
            raise subprocess.CalledProcessError(process.returncode, list(command))
    return usage.ru_utime


def _environment(tree: Path) -> dict[str, str]:
    """Returns the environment of a process that uses a checkout's code and one thread."""
    path = os.pathsep.join([str(tree), str(tree / "shared" / "src")])
    return {**os.environ, **ONE_THREAD, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "2"}


def _step_pairs(trees: Sequence[Path], rounds: int, logs: Path) -> list[Pair]:
    """Lets a worker of each version run inference and train steps in turns, `STEPS` steps each."""
    options = ["--precision", "float32", "--batch", "1", "--threads", "1"]
    command = [sys.executable, "-m", "benchmarks.ours", *options]
    workers: list[Worker] = []
    try:
        for name, tree in zip(("old", "new"), trees, strict=True):
            before = Path.cwd()
            os.chdir(tree)  # `python -m` looks in the working folder first
            try:
                workers.append(Worker.start(name, command, logs / f"{name}.log", _environment(tree)))
            finally:
                os.chdir(before)
        return [_phase_pair(workers, phase, rounds) for phase in PHASES]
    finally:
        for worker in workers:
            worker.stop()


def _phase_pair(workers: Sequence[Worker], phase: str, rounds: int) -> Pair:
    seconds: list[list[float]] = [[] for _ in workers]
    for worker in workers:
        worker.ask(f"prepare {phase}")
    for _ in range(rounds):
        for place, worker in enumerate(workers):
            seconds[place].append(statistics.median(worker.ask(f"{phase} {STEPS}")["cpu"]))
    return Pair(f"run_speed, {phase}", *seconds)


def _measure(names: Sequence[str], trees: Sequence[Path], rounds: int) -> list[Pair]:
    """Measures the CPU seconds of both versions in the chosen benchmarks."""
    pairs: list[Pair] = []
    with tempfile.TemporaryDirectory(prefix="frcnn-bench-logs-") as logs:
        for name in names:
            if name == "run_speed":
                pairs += _step_pairs(trees, rounds, Path(logs))
            else:
                pairs.append(command_pair(name, trees, rounds))
    return pairs


def table(pairs: Sequence[Pair], old: str) -> Table:
    """Returns the result as a table.

    Args:
        pairs: CPU seconds of both versions.
        old: Name of the old version.
    """
    found = Table("benchmark", f"{old}, user s", "now, user s", "now / old", "range", "", title="one thread")
    for each in pairs:
        ratios = [new / former for former, new in zip(each.old, each.new, strict=True)]
        verdict = "unchanged" if abs(each.ratio - 1) <= NOISE else "faster" if each.ratio < 1 else "SLOWER"
        found.add_row(
            each.name,
            f"{statistics.median(each.old):.2f}",
            f"{statistics.median(each.new):.2f}",
            f"{each.ratio:.3f}",
            f"{min(ratios):.2f}-{max(ratios):.2f}",
            verdict,
        )
    return found


@contextlib.contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """Unpacks a version into a temporary folder, without a trace in the repository.

    Args:
        revision: Revision.

    Yields:
        Folder of the version.
    """
    with tempfile.TemporaryDirectory(prefix="frcnn-old-") as folder:
        archive = Path(folder) / "version.tar"
        command = ["git", "-C", str(ROOT), "archive", "--format=tar", f"--output={archive}", revision]
        subprocess.run(command, check=True)
        tree = Path(folder) / "version"
        with tarfile.open(archive) as members:
            members.extractall(tree, filter="data")
        yield tree


def main() -> None:
    """Runs the comparison and prints the table."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--old", required=True, metavar="REVISION", help="version to compare with")
    flags.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="benchmarks (default: all)")
    flags.add_argument("--rounds", type=int, default=3, help="runs of each version (default: 3)")
    flags.add_argument("--json", type=Path, help="JSON file for all single measurements")
    args = flags.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    conditions = Conditions(threads=1)
    with checkout(args.old) as tree:
        pairs = _measure(args.only, (tree, ROOT), args.rounds)
    console = Console()
    console.print(table(pairs, args.old))
    console.print("\n".join(conditions.lines()), highlight=False)
    if args.json:
        args.json.write_text(json.dumps([dataclasses.asdict(each) for each in pairs], indent=1) + "\n")


if __name__ == "__main__":
    main()
