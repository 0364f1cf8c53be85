"""Divides ten minutes among the sections of the GPU benchmark and runs each in a process group of its own."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.gpu.findings import Finding, Verdict, read_findings
from benchmarks.run_speed import worker_environment

TOTAL_SECONDS = 600.0
# Time for a section to end by itself when its time is over, before it is killed.
GRACE_SECONDS = 3.0


@dataclasses.dataclass(frozen=True)
class Section:
    """One section, run as `python -m benchmarks.gpu.<module>`.

    Attributes:
        name: Name in the table.
        module: Module below `benchmarks.gpu`.
        seconds: Share of the time; what a section leaves is added to the next one's.
        options: Further arguments of the module.
    """

    name: str
    module: str
    seconds: float
    options: tuple[str, ...] = ()


SECTIONS = (
    Section("device", "device", 30),
    Section("training", "learning", 105),
    Section("agreement", "agreement", 75),
    Section("speed", "speed", 210),
    Section("XLA", "speed", 60, ("--xla",)),
    Section("TensorRT", "engines", 75),
    Section("Horovod", "ranks", 45),
)


@dataclasses.dataclass(frozen=True)
class Job:
    """What all sections of a run share.

    Attributes:
        folder: Folder for files that sections hand on to later ones.
        peer_python: Python interpreter with torchvision; need not exist.
        rehearse: Whether to run on the CPU with small settings, to test the benchmark itself.
    """

    folder: Path
    peer_python: Path
    rehearse: bool = False


def run_all(
    job: Job,
    sections: Sequence[Section] = SECTIONS,
    total: float = TOTAL_SECONDS,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[list[Finding], dict[str, float]]:
    """Runs the sections one after the other, in at most `total` seconds.

    Args:
        job: What the sections share.
        sections: Sections in order.
        total: Time for all of them, seconds.
        say: Called with a line before each section.

    Returns:
        Tuple of all findings and the seconds that each section took.
    """
    scale = total / sum(each.seconds for each in sections)
    end, due = time.monotonic() + total, time.monotonic()
    findings: list[Finding] = []
    taken: dict[str, float] = {}
    for section in sections:
        due += section.seconds * scale
        start = time.monotonic()
        limit = min(due, end) - start - GRACE_SECONDS
        say(f"{section.name}: at most {max(limit, 0):.0f} s")
        findings += run_section(section, job, limit)
        taken[section.name] = round(time.monotonic() - start, 1)
    return findings, taken


def run_section(section: Section, job: Job, limit: float) -> list[Finding]:
    """Runs one section; ends it and all its processes when its time is over.

    Args:
        section: Section.
        job: What the sections share.
        limit: Time, seconds.

    Returns:
        Its findings. One more says so if the section failed or was ended.
    """
    stem = re.sub(r"\W", "-", section.name)
    notes, log = job.folder / f"{stem}.jsonl", job.folder / f"{stem}.log"
    if limit <= 0:
        return [_not_run(section, "the sections before it took all of the time")]
    command = [sys.executable, "-m", f"benchmarks.gpu.{section.module}", "--name", section.name]
    command += ["--folder", str(job.folder), "--notes", str(notes), "--seconds", f"{limit:.1f}"]
    command += ["--peer-python", str(job.peer_python), *(["--rehearse"] if job.rehearse else [])]
    environment = worker_environment()
    if job.rehearse:
        environment["CUDA_VISIBLE_DEVICES"] = "-1"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*command, *section.options],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=environment,
            start_new_session=True,
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end_group(process)
    found = read_findings(notes)
    if code is None:
        found.append(_not_run(section, f"its time of {limit:.0f} s was over", "the rest of the section"))
    elif code:
        # Its own words are in the log, which the caller keeps.
        reason = f"ended with exit code {code}: {_last_line(log)}"
        found.append(Finding(section.name, "the section itself", "failed", Verdict.WRONG, reason))
    return found


def _not_run(section: Section, reason: str, what: str = "the whole section") -> Finding:
    return Finding(section.name, what, "", Verdict.NOT_RUN, reason)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """Ends what is left of a process group: politely first, then at once."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _last_line(log: Path) -> str:
    """Returns the last line of a log that says something, shortened."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"
