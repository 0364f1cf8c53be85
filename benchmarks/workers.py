"""Worker processes that are timed in turns: the protocol, both ends of it.

A worker is a process of its own, under any Python interpreter, that keeps a model in memory and
reads commands, one a line, from its standard input. It answers each with one line of JSON:

    prepare train|infer   builds, warms up and resets the peak of memory   {"note": ...}
    train N | infer N     does N steps              {"wall": [s, ...], "cpu": [s, ...]} per step
    report                                          {"peak_mib": ..., "cpu_total": ..., ...}
    quit                  ends the process; so does the end of the input

It first says {"ready": true, ...}. While one worker computes all others wait for input, so that
every side has the whole machine in its turn. A failing command is answered {"error": ...}.
"""

import dataclasses
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TextIO

PHASES = ("infer", "train")


class Side(Protocol):
    """What a worker script provides."""

    def prepare(self, phase: str) -> dict[str, Any]:
        """Makes the next `step(phase)` representative: built, traced, warm. Returns remarks."""

    def step(self, phase: str) -> None:
        """One train step or one inference, done when it returns."""

    def report(self) -> dict[str, Any]:
        """What else is worth telling: versions, layouts, number of traces."""


def serve(make_side: Callable[[], Side]) -> None:
    """Runs a worker until its input ends. What libraries write to stdout is sent to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        side = make_side()
        _say(answers, {"ready": True})
        for line in sys.stdin:
            name, _, argument = line.strip().partition(" ")
            if name == "quit":
                return
            _say(answers, _answer(side, name, argument))
    except Exception as error:  # the parent shows it and the traceback in the log
        traceback.print_exc()
        _say(answers, {"error": f"{type(error).__name__}: {error}"})


def _answer(side: Side, name: str, argument: str) -> dict[str, Any]:
    if name == "prepare":
        _reset_peak()
        return side.prepare(argument)
    if name in PHASES:
        return _timed(lambda: side.step(name), int(argument))
    if name == "report":
        return {"peak_mib": peak_mib(), "cpu_total": time.process_time(), **side.report()}
    raise ValueError(f"unknown command {name!r}; expected prepare, train, infer, report or quit")


def _timed(step: Callable[[], None], count: int) -> dict[str, Any]:
    wall, cpu = [], []
    for _ in range(count):
        start, start_cpu = time.perf_counter(), time.process_time()
        step()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    return {"wall": wall, "cpu": cpu}


def _say(stream: TextIO, answer: dict[str, Any]) -> None:
    stream.write(json.dumps(answer) + "\n")
    stream.flush()


def _reset_peak() -> None:
    # "5" sets VmHWM back to the present RSS (Linux, proc_pid_clear_refs); elsewhere it stays the
    # peak since start.
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_mib() -> float:
    """Largest resident memory of this process since `_reset_peak`, in MiB."""
    return memory_mib("VmHWM")


def memory_mib(field: str = "VmRSS") -> float:
    """A memory line of /proc/self/status in MiB: `VmRSS` now, `VmHWM` peak. Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise KeyError(field)


class WorkerError(Exception):
    """A worker failed or ended; the message holds the end of its log."""


@dataclasses.dataclass
class Worker:
    """The parent's end of one worker process."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    @classmethod
    def start(cls, name: str, command: list[str], log: Path, env: dict[str, str]) -> "Worker":
        """Starts `command` and waits until its model stands; its stderr goes to `log`."""
        with log.open("w") as stderr:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=env,
            )
        worker = cls(name, process, log)
        worker._read()
        return worker

    def ask(self, command: str) -> dict[str, Any]:
        """Sends a command and waits for its answer; raises WorkerError if it failed."""
        try:
            stdin = _pipe(self.process.stdin)
            stdin.write(command + "\n")
            stdin.flush()
        except (BrokenPipeError, ValueError):  # ValueError: stopped before, its pipe is closed
            raise self._failure("ended early") from None
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = _pipe(self.process.stdout).readline()
        if not line:
            raise self._failure("ended early")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise self._failure(answer["error"])
        return answer

    def _failure(self, reason: str) -> WorkerError:
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])
        return WorkerError(f"worker {self.name}: {reason}\n--- end of {self.log}\n{tail}")

    def stop(self) -> None:
        """Ends the process, at once if it does not listen."""
        try:
            _pipe(self.process.stdin).close()
            self.process.wait(timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        _pipe(self.process.stdout).close()


def _pipe(stream: Any) -> Any:
    if stream is None:
        raise WorkerError("the worker has no pipe")
    return stream
