"""Implements both ends of the protocol between a benchmark and its worker processes.

A worker is a separate process, under any Python interpreter, that keeps a model in memory. It reads one
command per line from standard input and replies to each with one line of JSON:

    prepare train|infer   resets the memory peak, builds and warms up      {"note": ...}
    train N | infer N     runs N steps              {"wall": [s, ...], "cpu": [s, ...]} per step
    report                                          {"peak_mib": ..., "cpu_total": ..., ...}
    quit                  ends the process, as does the end of the input

Its first line is {"ready": true, ...}. The reply to a failed command is {"error": ...}. While one worker
computes, all others wait for input, so that each has the whole machine to itself.
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
    """Interface that a worker script implements."""

    def prepare(self, phase: str) -> dict[str, Any]:
        """Builds, traces and warms up, so that the next step is representative.

        Args:
            phase: `train` or `infer`.

        Returns:
            Remarks for the report.
        """

    def step(self, phase: str) -> None:
        """Runs one train step or one inference to completion.

        Args:
            phase: `train` or `infer`.
        """

    def report(self) -> dict[str, Any]:
        """Returns further facts, such as versions, layouts and number of traces."""


def serve(make_side: Callable[[], Side]) -> None:
    """Runs a worker until its input ends. Standard output of libraries goes to standard error.

    Args:
        make_side: Function that creates the worker's side.
    """
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
    except Exception as error:  # the parent shows the error and the end of the log
        traceback.print_exc()
        _say(answers, {"error": f"{type(error).__name__}: {error}"})


def _answer(side: Side, name: str, argument: str) -> dict[str, Any]:
    """Executes one command and returns the reply."""
    if name == "prepare":
        _reset_peak()
        return side.prepare(argument)
    if name in PHASES:
        return _timed(lambda: side.step(name), int(argument))
    if name == "report":
        return {"peak_mib": peak_mib(), "cpu_total": time.process_time(), **side.report()}
    raise ValueError(f"unknown command {name!r}; expected prepare, train, infer, report or quit")


def _timed(step: Callable[[], None], count: int) -> dict[str, Any]:
    """Runs a function `count` times and returns wall and CPU seconds of each run."""
    wall, cpu = [], []
    for _ in range(count):
        start, start_cpu = time.perf_counter(), time.process_time()
        step()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    return {"wall": wall, "cpu": cpu}


def _say(stream: TextIO, answer: dict[str, Any]) -> None:
    """Writes one line of JSON."""
    stream.write(json.dumps(answer) + "\n")
    stream.flush()


def _reset_peak() -> None:
    """Resets the memory peak of this process, on Linux."""
    # "5" resets VmHWM to the current RSS (Linux, proc_pid_clear_refs). Elsewhere it remains the
    # peak since the start.
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_mib() -> float:
    """Returns the peak of resident memory since `_reset_peak`, MiB."""
    return memory_mib("VmHWM")


def memory_mib(field: str = "VmRSS") -> float:
    """Reads the memory use of this process from /proc/self/status. Linux only.

    Args:
        field: `VmRSS` for current or `VmHWM` for peak resident memory.

    Returns:
        Memory, MiB.

    Raises:
        KeyError: There is no such field.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise KeyError(field)


class WorkerError(Exception):
    """Worker that failed or ended; the message includes the end of its log."""


@dataclasses.dataclass
class Worker:
    """Parent's end of one worker process.

    Attributes:
        name: Name for messages.
        process: Process.
        log: File with the worker's standard error.
    """

    name: str
    process: subprocess.Popen[str]
    log: Path

    @classmethod
    def start(cls, name: str, command: list[str], log: Path, env: dict[str, str]) -> "Worker":
        """Starts a worker and waits until it is ready.

        Args:
            name: Name for messages.
            command: Command line.
            log: File for the worker's standard error.
            env: Environment variables.

        Returns:
            The worker.

        Raises:
            WorkerError: The worker failed or ended.
        """
        with log.open("w") as stderr:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, env=env
            )
        worker = cls(name, process, log)
        worker._read()
        return worker

    def ask(self, command: str) -> dict[str, Any]:
        """Sends a command and waits for the reply.

        Args:
            command: Command of the protocol.

        Returns:
            The reply.

        Raises:
            WorkerError: The command failed, or the worker has ended.
        """
        try:
            stdin = _pipe(self.process.stdin)
            stdin.write(command + "\n")
            stdin.flush()
        except (BrokenPipeError, ValueError):  # ValueError: the pipe was closed by `stop`
            raise self._failure("ended early") from None
        return self._read()

    def _read(self) -> dict[str, Any]:
        """Reads one reply."""
        line = _pipe(self.process.stdout).readline()
        if not line:
            raise self._failure("ended early")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise self._failure(answer["error"])
        return answer

    def _failure(self, reason: str) -> WorkerError:
        """Returns an error with the end of the log."""
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])
        return WorkerError(f"worker {self.name}: {reason}\n--- end of {self.log}\n{tail}")

    def stop(self) -> None:
        """Ends the process. If it does not react within 20 s, it is killed."""
        try:
            _pipe(self.process.stdin).close()
            self.process.wait(timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        _pipe(self.process.stdout).close()


def _pipe(stream: Any) -> Any:
    """Returns the stream, which is never `None` for a worker."""
    if stream is None:
        raise WorkerError("the worker has no pipe")
    return stream
