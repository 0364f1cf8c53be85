"""Records the conditions of a measurement: speed of the machine, and load by other programs."""

import os
import platform
import time
from pathlib import Path

import numpy as np

PROBE_SIDE = 2048
PROBE_REPEATS = 5
# Above this load by other programs (fraction of all cores), absolute times are unreliable.
MAX_OTHER_LOAD = 0.05


class Conditions:
    """Conditions from creation to the call of `lines`. The load is measured on Linux only."""

    def __init__(self, threads: int) -> None:
        """Starts recording and measures the speed.

        Args:
            threads: Number of threads per side, for the report.
        """
        self.threads = threads
        self.started = time.monotonic()
        self.busy_at_start = _busy_seconds()
        self.own_at_start = _own_seconds()
        self.speeds: list[float] = []
        self.probe()

    def probe(self) -> None:
        """Measures the speed of float32 arithmetic, which varies over time on virtual machines."""
        matrix = np.ones((PROBE_SIDE, PROBE_SIDE), np.float32)
        seconds = []
        for _ in range(PROBE_REPEATS):
            start = time.perf_counter()
            _ = matrix @ matrix
            seconds.append(time.perf_counter() - start)
        self.speeds.append(2 * PROBE_SIDE**3 / min(seconds) / 1e9)

    def lines(self) -> list[str]:
        """Returns a report of a few lines. The last one warns if other programs used the machine."""
        speeds = ", ".join(f"{speed:.0f}" for speed in self.speeds)
        lines = [
            f"machine: {machine_name()}, {os.cpu_count()} cores, {self.threads} threads per side; "
            f"float32 matrix product before, during and after: {speeds} GFLOP/s"
        ]
        share = self.share_of_others()
        if share is None:
            return lines
        elapsed = time.monotonic() - self.started
        verdict = "quiet" if share < MAX_OTHER_LOAD else "NOT quiet: trust ratios, not seconds"
        return [*lines, f"other programs used {share:.0%} of all cores in {elapsed:.0f} s: {verdict}"]

    def share_of_others(self) -> float | None:
        """Returns the fraction of all cores that other programs used since the start; None if unknown."""
        if self.busy_at_start is None:
            return None
        elapsed = time.monotonic() - self.started
        others = (_busy_seconds() or 0.0) - self.busy_at_start - (_own_seconds() - self.own_at_start)
        return max(others, 0.0) / (elapsed * (os.cpu_count() or 1))


def _busy_seconds() -> float | None:
    """Returns CPU seconds since boot used by all programs or withheld by the host."""
    try:
        fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Returns CPU seconds of this process and of its terminated workers."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def machine_name() -> str:
    """Returns the model name of the CPU, else the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
