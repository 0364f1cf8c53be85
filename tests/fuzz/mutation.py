"""Changes to files, and a process that may die of them."""

import contextlib
import faulthandler
import mmap
import os
import random
import resource
import signal
import struct
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

# Numbers at which fields overflow, go negative or ask for too much.
EDGES = [b"\0", b"\x01", b"\x7f", b"\x80", b"\xff", b"\0" * 8, b"\xff" * 8, b"\x7f" + b"\xff" * 7]
# What a file may cost beside what the process had.
SPARE_BYTES = 1 << 30
SECONDS = 20

REFUSED, READ, DIED = "refused", "read", "died"


def mutated(data: bytes, other: bytes, rng: random.Random, head: int = 512) -> bytes:
    """One to three changes: bits, bytes, edge values, cuts, insertions, parts of another file."""
    for _ in range(rng.randint(1, 3)):
        # Half of the changes go to the start, where the decisions are taken.
        place = rng.randrange(min(len(data), head) if rng.random() < 0.5 else len(data))
        length = rng.choice((1, 2, 4, 8, 16, 64))
        match rng.randrange(7):
            case 0:
                data = data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
            case 1:
                data = data[:place] + rng.randbytes(length) + data[place + length :]
            case 2:
                edge = rng.choice(EDGES)
                data = data[:place] + edge + data[place + len(edge) :]
            case 3:
                data = data[: place + 1]
            case 4:
                data = data[:place] + rng.randbytes(length) + data[place:]
            case 5:
                data = data[:place] + data[place + length :] or b"\0"
            case _:
                data = data[:place] + other[place : place + length] + data[place + length :]
    return data


def survive(count: int, attempt: Callable[[int], str]) -> Counter[str]:
    """Runs `attempt(0)` to `attempt(count - 1)` in forked processes; a new one where one has died.

    Each process has `SPARE_BYTES` of memory more than this one, and `SECONDS` of CPU time for an attempt.

    Returns:
        How often each answer of `attempt` came; `DIED` for attempts that a signal ended.

    Raises:
        AssertionError: An attempt raised something; the message has its number and the stack.
    """
    seen: Counter[str] = Counter()
    with mmap.mmap(-1, 8 + 16 * 64) as shared:
        start = 0
        while start < count:
            code = _run(shared, start, count, attempt)
            (reached,) = struct.unpack_from("<q", shared)
            seen.update(_answers(shared))
            if code == 0:
                break
            assert code != 3, f"attempt {reached} raised what it must not (above)"
            seen[DIED] += 1
            start = reached + 1
    assert seen.total() == count
    return seen


def _run(shared: mmap.mmap, start: int, count: int, attempt: Callable[[int], str]) -> int:
    """Exit code of a process that makes the attempts from `start` on; negative if a signal ended it."""
    shared[8:] = bytes(len(shared) - 8)
    child = os.fork()
    if child == 0:
        code, speaking = 3, os.dup(2)
        try:
            _limit()
            tally: Counter[str] = Counter()
            for number in range(start, count):
                struct.pack_into("<q", shared, 0, number)
                signal.setitimer(signal.ITIMER_PROF, SECONDS)
                tally[attempt(number)] += 1
                _note(shared, tally)
            code = 0
        except BaseException:
            os.write(speaking, traceback.format_exc().encode())
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _limit() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * mmap.PAGESIZE + SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    faulthandler.disable()
    with contextlib.suppress(OSError):
        # What a C library says when it dies is no news here.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _note(shared: mmap.mmap, tally: Counter[str]) -> None:
    text = " ".join(f"{name}={number}" for name, number in tally.items()).encode()
    shared[8 : 8 + len(text) + 1] = text + b"\0"


def _answers(shared: mmap.mmap) -> dict[str, int]:
    text = shared[8:].split(b"\0")[0].decode()
    return {name: int(number) for name, _, number in (each.partition("=") for each in text.split())}
