"""Sections "speed" and "XLA": images per second and peak memory of training and inference.

"speed" compares with torchvision on the same GPU, both alternately; "XLA" compares with the same side under
TensorFlow's automatic clustering.
"""

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.section import Task, run
from benchmarks.run_speed import worker_environment
from benchmarks.workers import PHASES, Worker, WorkerError

ROUNDS, STEPS = 3, 8
# The most telling combinations first, since time may run out.
COMBINATIONS = (("float32", 1), ("mixed", 4), ("float32", 4), ("mixed", 16), ("mixed", 1), ("float32", 16))
XLA_COMBINATIONS = (("float32", 4), ("mixed", 4))
XLA_FLAGS = "--tf_xla_auto_jit=2"
OUT_OF_MEMORY = ("out of memory", "OOM when allocating", "RESOURCE_EXHAUSTED", "ResourceExhaustedError")
# Time of the first combination, before it is known.
FIRST_SECONDS = 45.0

Start = Callable[[str], Worker]


@dataclasses.dataclass(frozen=True)
class Timing:
    """Result of one side in one phase.

    Attributes:
        rate: Images per second; median of the rounds.
        rates: Images per second of each round.
        report: Report of the worker.
    """

    rate: float
    rates: list[float]
    report: dict[str, Any]

    @property
    def memory(self) -> str:
        """Peak of GPU memory for the table; empty if unknown."""
        mib = self.report.get("gpu_mib")
        return "" if mib is None else f", {mib:.0f} MiB"


def main(task: Task) -> None:
    """Measures the combinations that the time allows.

    Args:
        task: Arguments of the section.
    """
    combinations: Sequence[tuple[str, int]] = XLA_COMBINATIONS if task.xla else COMBINATIONS
    if task.rehearse:
        combinations = [("float32", 1)]
    if not task.xla and not task.peer_python.exists():
        task.notes.not_run(
            "torchvision", f"there is no interpreter {task.peer_python}; benchmarks/README.md makes it"
        )
    longest = FIRST_SECONDS
    for precision, batch in combinations:
        name = f"{_shown(precision)}, batch {batch}"
        if task.left < longest * 1.2:
            task.notes.not_run(name, f"{task.left:.0f} s were left, about {longest:.0f} s are needed")
            continue
        start = time.monotonic()
        measure(task, name, batch, starters(task, precision, batch))
        longest = max(longest if longest != FIRST_SECONDS else 0.0, time.monotonic() - start)


def _shown(precision: str) -> str:
    return "float16" if precision == "mixed" else precision


def starters(task: Task, precision: str, batch: int) -> dict[str, Start]:
    """Returns functions that start the workers to compare, by name.

    Args:
        task: Arguments of the section.
        precision: `float32` or `mixed`.
        batch: Batch size.
    """
    options = ["--precision", precision, "--batch", str(batch)]
    ours = [sys.executable, "-m", "benchmarks.gpu.ours", *options]
    peer = [str(task.peer_python), "-m", "benchmarks.gpu.peer", *options]

    def starter(command: list[str], **variables: str) -> Start:
        def start(name: str) -> Worker:
            log = task.folder / f"{name}-{precision}-{batch}.log"
            return Worker.start(name, command, Path(log), {**worker_environment(), **variables})

        return start

    if task.xla:
        return {"without-XLA": starter(ours), "with-XLA": starter(ours, TF_XLA_FLAGS=XLA_FLAGS)}
    sides = {"ours": starter(ours)}
    return {**sides, "torchvision": starter(peer)} if task.peer_python.exists() else sides


def measure(task: Task, name: str, batch: int, starts: dict[str, Start]) -> None:
    """Measures both phases of one combination; a side that fails is noted, and the other is measured alone.

    Args:
        task: Arguments of the section.
        name: Name of the combination.
        batch: Batch size.
        starts: Functions that start the workers.
    """
    workers: dict[str, Worker] = {}
    try:
        for side, start in starts.items():
            try:
                workers[side] = start(side)
            except WorkerError as error:
                _note_failure(task, f"{name}, {side}", error)
        for phase in PHASES:
            _note(task, f"{name}, {phase}", _timed(task, name, batch, phase, workers))
    finally:
        for worker in workers.values():
            worker.stop()


def _timed(task: Task, name: str, batch: int, phase: str, workers: dict[str, Worker]) -> dict[str, Timing]:
    """Runs the sides in turns; one that fails is noted and removed from `workers`."""
    rates: dict[str, list[float]] = {side: [] for side in workers}
    steps = 2 if task.rehearse else STEPS
    commands = [f"prepare {phase}", *[f"{phase} {steps}"] * ROUNDS, "report"]
    reports: dict[str, dict[str, Any]] = {}
    for command in commands:
        for side in list(workers):
            try:
                answer = workers[side].ask(command)
            except WorkerError as error:
                _note_failure(task, f"{name}, {phase}, {side}", error)
                workers.pop(side).stop()
                continue
            if "wall" in answer:
                rates[side].append(batch * steps / sum(answer["wall"]))
            reports[side] = answer
    return {side: Timing(statistics.median(rates[side]), rates[side], reports[side]) for side in workers}


def _note(task: Task, what: str, found: dict[str, Timing]) -> None:
    if not found:
        return
    parts = [f"{side} {each.rate:.1f} img/s{each.memory}" for side, each in found.items()]
    first, *others = found.values()
    if others:
        ratio = first.rate / others[0].rate
        # What is new is the second side in "XLA" and the first in "speed".
        parts.append(f"{1 / ratio if task.xla else ratio:.2f} times")
    task.notes.measured(
        what, "; ".join(parts), **{side: dataclasses.asdict(each) for side, each in found.items()}
    )


def _note_failure(task: Task, what: str, error: WorkerError) -> None:
    text = str(error)
    if any(words in text for words in OUT_OF_MEMORY):
        task.notes.not_run(what, "the GPU has too little memory")
    else:
        task.notes.checked(what, "failed", False, text.splitlines()[0][:300])


if __name__ == "__main__":
    run(main)
